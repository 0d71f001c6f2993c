"""Llama, site by site: method.md, section 4. Keys of config.json and names of tensors as transformers writes them."""
import mpmath
from network import Model, dot, elementwise, linear, residual
from targets import Activation, RmsNorm


class Llama(Model):
    @property
    def layers(self):
        return self.config["num_hidden_layers"]

    @property
    def heads(self):
        return self.config["num_attention_heads"]

    @property
    def groups(self):
        return self.config["num_key_value_heads"]

    @property
    def d_head(self):
        return self.config.get("head_dim") or self.config["hidden_size"] // self.heads

    def linear(self, name):
        """(columns, bias or None): weights lie as (out, in)."""
        return self[name + ".weight"], self.weights.get(name + ".bias")

    def forward(self, run):
        def norm(y, p, bound, keys):
            return RmsNorm(y, p, bound, self.config["rms_norm_eps"], keys)

        def nonlinear(_, y, bound, keys):
            return Activation(y, bound, "silu", keys)

        x = run.site("embed", 0, embed, self, run.tokens)
        for layer in range(self.layers):
            attention, mlp = (f"model.layers.{layer}.{name}." for name in ("self_attn", "mlp"))

            def projection(site, name, x):
                return run.site(site, layer, linear, *self.linear(name), x)

            normal = run.site("ln_1", layer, rms_norm, self, f"model.layers.{layer}.input_layernorm", x)
            q, k, v = (projection(part, attention + part + "_proj", normal) for part in "qkv")
            q, k = (run.site("rope_" + part, layer, rope, self, x) for part, x in (("q", q), ("k", k)))
            parts = [(self.part(q, h), *(self.part(x, h * self.groups // self.heads) for x in (k, v))) for h in range(self.heads)]
            columns, bias = self.linear(attention + "o_proj")
            joined = run.attention(layer, parts, columns)
            x = run.site("resid_1", layer, residual, x, run.projection("attn_proj", layer, columns, bias, joined, "resid_1", x, norm))
            normal = run.site("ln_2", layer, rms_norm, self, f"model.layers.{layer}.post_attention_layernorm", x)
            gate = run.linear("gate", layer, *self.linear(mlp + "gate_proj"), normal, nonlinear)
            up = projection("up", mlp + "up_proj", normal)
            gated = run.site("gated", layer, product, run.site("silu", layer, activation, gate), up)
            projected = run.projection("mlp_proj", layer, *self.linear(mlp + "down_proj"), gated, "resid_2", x, norm)
            x = run.site("resid_2", layer, residual, x, projected)
        head = self["model.embed_tokens.weight" if self.config["tie_word_embeddings"] else "lm_head.weight"]
        run.logits(head, run.site("ln_f", 0, rms_norm, self, "model.norm", x))

    def part(self, rows, head):
        """The columns of a head of q, or of a group of k or v."""
        return [row[head * self.d_head : (head + 1) * self.d_head] for row in rows]

    def frequency(self, j):
        """f_j, a real number: evaluated in mpmath's working precision."""
        f = mpmath.mpf(self.config["rope_theta"]) ** (-mpmath.mpf(2 * j) / self.d_head)
        scaling = self.config.get("rope_scaling")
        if scaling is None:
            return f
        length, low, high, factor = (mpmath.mpf(scaling[key]) for key in ("original_max_position_embeddings", "low_freq_factor",
                                                                           "high_freq_factor", "factor"))
        wavelength = 2 * mpmath.pi / f
        if wavelength < length / high:
            return f
        if wavelength > length / low:
            return f / factor
        s = (length / wavelength - low) / (high - low)
        return (1 - s) * f / factor + s * f


def embed(at, model, tokens):
    wte = model["model.embed_tokens.weight"]
    return [[at(i, c).value(x) for c, x in enumerate(wte[token])] for i, token in enumerate(tokens)]


def rms_norm(at, model, name, x):
    gamma, eps = model[name + ".weight"], model.config["rms_norm_eps"]
    rows = []
    for i, row in enumerate(x):
        fl = at(i, 0)  # one count of roundings for the whole row
        r = fl.rsqrt(fl.add(fl.div(dot(fl, row, row), float(len(row))), eps))
        rows.append([fl.mul(fl.mul(v, r), g) for v, g in zip(row, gamma)])
    return rows


def rope(at, model, x):
    """Pairs (j, j + d/2) of every head or group, turned by position f_j. Columns are those of the whole site."""
    d = model.d_head
    rows = []
    for i, row in enumerate(x):
        turned = []
        for c, value in enumerate(row):
            fl, j = at(i, c), c % d % (d // 2)
            cos, sin = fl.rotation(i, lambda: model.frequency(j))
            if c % d < d // 2:
                turned.append(fl.sub(fl.mul(value, cos), fl.mul(row[c + d // 2], sin)))
            else:
                turned.append(fl.add(fl.mul(value, cos), fl.mul(row[c - d // 2], sin)))
        rows.append(turned)
    return rows


def activation(at, x):
    return elementwise(at, lambda fl, a: fl.silu(a), x)


def product(at, x, y):
    return elementwise(at, lambda fl, a, b: fl.mul(a, b), x, y)
