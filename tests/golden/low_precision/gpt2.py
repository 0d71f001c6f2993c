"""GPT-2, site by site: method.md, section 4."""
from network import Model, dot, elementwise, linear, residual
from targets import Activation, LayerNorm


class Gpt2(Model):
    @property
    def layers(self):
        return self.config["n_layer"]

    @property
    def heads(self):
        return self.config["n_head"]

    def linear(self, name):
        """(columns, bias): weights lie as (in, out)."""
        return list(zip(*self[name + ".weight"])), self[name + ".bias"]

    def forward(self, run):
        def norm(y, p, bound, keys):
            return LayerNorm(y, p, bound, self.config["layer_norm_epsilon"], keys)

        def nonlinear(_, y, bound, keys):
            return Activation(y, bound, self.config["activation_function"], keys)

        x = run.site("embed", 0, embed, self, run.tokens)
        for layer in range(self.layers):
            prefix = f"h.{layer}."
            normal = run.site("ln_1", layer, layer_norm, self, prefix + "ln_1", x)
            qkv = run.site("qkv", layer, linear, *self.linear(prefix + "attn.c_attn"), normal)
            columns, bias = self.linear(prefix + "attn.c_proj")
            joined = run.attention(layer, heads_of(self, qkv), columns)
            x = run.site("resid_1", layer, residual, x, run.projection("attn_proj", layer, columns, bias, joined, "resid_1", x, norm))
            normal = run.site("ln_2", layer, layer_norm, self, prefix + "ln_2", x)
            hidden = run.linear("mlp_fc", layer, *self.linear(prefix + "mlp.c_fc"), normal, nonlinear)
            hidden = run.site("gelu", layer, activation, self, hidden)
            projected = run.projection("mlp_proj", layer, *self.linear(prefix + "mlp.c_proj"), hidden, "resid_2", x, norm)
            x = run.site("resid_2", layer, residual, x, projected)
        run.logits(self["wte.weight"], run.site("ln_f", 0, layer_norm, self, "ln_f", x))


def embed(at, model, tokens):
    wte, wpe = model["wte.weight"], model["wpe.weight"]
    return [[at(i, c).add(x, y) for c, (x, y) in enumerate(zip(wte[token], wpe[i]))] for i, token in enumerate(tokens)]


def layer_norm(at, model, name, x):
    gamma, beta, eps = model[name + ".weight"], model[name + ".bias"], model.config["layer_norm_epsilon"]
    rows = []
    for i, row in enumerate(x):
        fl = at(i, 0)  # one count of roundings for the whole row
        n, ones = float(len(row)), [1.0] * len(row)
        mean = fl.div(dot(fl, row, ones), n)
        c = [fl.sub(v, mean) for v in row]
        variance = fl.div(dot(fl, c, c), n)
        r = fl.rsqrt(fl.add(variance, eps))
        rows.append([fl.mac(fl.mul(v, r), g, b) for v, g, b in zip(c, gamma, beta)])
    return rows


def heads_of(model, qkv):
    """(q, k, v) of each head, rows by position."""
    n = model.config["n_embd"]
    d = n // model.heads
    return [tuple([row[part * n + h * d : part * n + (h + 1) * d] for row in qkv] for part in range(3)) for h in range(model.heads)]


def activation(at, model, x):
    return elementwise(at, lambda fl, a: fl.gelu(a, model.config["activation_function"]), x)
