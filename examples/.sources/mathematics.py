# Text with formulas, a computed figure and a computed formula; a report.
# view: report_default

# %% [markdown] id=title grid=0,0,12,3
# # Building a square from circles
#
# A short tour of Fourier series, with the mathematics written in Markdown.

# %% [markdown] id=series grid=3,0,6,11
# ## The series
#
# Any reasonable function $f$ of period $2\pi$ is a sum of sines and cosines:
#
# $$
# f(x) = \frac{a_0}{2} + \sum_{k=1}^{\infty} \bigl( a_k \cos kx + b_k \sin kx \bigr)
# $$
#
# with the coefficients
#
# \begin{align}
# a_k &= \frac{1}{\pi} \int_{-\pi}^{\pi} f(x) \cos kx \,\mathrm{d}x, \\
# b_k &= \frac{1}{\pi} \int_{-\pi}^{\pi} f(x) \sin kx \,\mathrm{d}x.
# \end{align}

# %% [markdown] id=square grid=3,6,6,11
# ## The square wave
#
# $$
# f(x) = \begin{cases} -1 & \text{if } -\pi < x < 0, \\ \phantom{-}1 & \text{if } 0 < x < \pi \end{cases}
# $$
#
# is odd, so every $a_k = 0$, and
#
# $$
# \begin{aligned}
# b_k &= \frac{2}{\pi} \int_0^\pi \sin kx \,\mathrm{d}x \\
#     &= \frac{2}{\pi k} \bigl( 1 - \cos k\pi \bigr)
#      = \begin{cases} \dfrac{4}{\pi k} & k \text{ odd} \\ 0 & k \text{ even.} \end{cases}
# \end{aligned}
# $$

# %% id=plots include=plots
# %% id=vector
import numpy as np
from IPython.display import SVG, Math


def draw(figure, name, alt):
    """Display the figure as an SVG whose text is text and whose bytes do not change from run to run."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": name})
    svg = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Title": name}
    figure.savefig(svg, format="svg", transparent=True, metadata=nothing)
    plt.close(figure)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    about = {"image/svg+xml": {"width": width, "height": height, "alt": alt}}
    display(SVG(svg.getvalue()), metadata=about)


# %% id=gibbs grid=14,0,8,12
x = np.linspace(-np.pi, np.pi, 601)


def partial_sum(terms):
    """The first so many odd harmonics of the square wave."""
    return sum(4 / (np.pi * k) * np.sin(k * x) for k in range(1, 2 * terms, 2))


figure, axes = plt.subplots(figsize=(9.4, 3.4))
axes.plot(x, np.sign(x), color=INK, linewidth=1, linestyle=(0, (4, 3)), label="f")
for terms, colour in ((1, TEAL), (3, AMBER), (15, ROSE)):
    axes.plot(
        x, partial_sum(terms), color=colour, linewidth=1.6, label=f"{terms} term{'s' * (terms > 1)}"
    )
axes.set(xlim=(-np.pi, np.pi), ylim=(-1.45, 1.45), title="One, three and fifteen terms")
axes.set_xticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], ["−π", "−π/2", "0", "π/2", "π"])
axes.legend(loc="lower right")
draw(
    figure,
    "Partial sums of the square wave",
    alt="The square wave and its sums of 1, 3 and 15 terms, which come ever closer but overshoot.",
)

# %% [markdown] id=gibbs-text grid=14,8,4,12
# ## The overshoot that stays
#
# However many terms are taken, the sum overshoots beside the jump. With $n$ terms the first peak is at
# $x = \pi / 2n$, and its height tends not to $1$ but to
#
# $$
# \lim_{n \to \infty} S_n\!\left(\frac{\pi}{2n}\right) = \frac{2}{\pi} \int_0^\pi \frac{\sin t}{t} \,\mathrm{d}t \approx 1.179
# $$

# %% id=peak grid=26,0,12,2
peaks = {
    n: sum(4 / (np.pi * k) * np.sin(k * np.pi / (2 * n)) for k in range(1, 2 * n, 2))
    for n in (1, 10, 100, 1000)
}
Math(r",\quad ".join(rf"S_{{{n}}} = {value:.5f}" for n, value in peaks.items()))

# %% [markdown] id=table grid=28,0,6,9
# ## Three waves
#
# | wave | $b_k$ for odd $k$ | decays as |
# |:-----|:-----------------:|:---------:|
# | square | $\dfrac{4}{\pi k}$ | $1/k$ |
# | triangle | $\dfrac{8}{\pi^2 k^2} (-1)^{\frac{k-1}{2}}$ | $1/k^2$ |
# | sawtooth | $\dfrac{2}{\pi k}$ | $1/k$ |

# %% [markdown] id=rotation grid=28,6,6,9
# ## Circles
#
# Each term is a point on a turning circle:
#
# $$
# \begin{pmatrix} u \\ v \end{pmatrix}
# = \frac{4}{\pi k}
# \begin{pmatrix} \cos kx & -\sin kx \\ \sin kx & \cos kx \end{pmatrix}
# \begin{pmatrix} 1 \\ 0 \end{pmatrix}
# $$
#
# - [x] It turns $k$ times as fast
# - [x] and is $k$ times smaller
# - [ ] A real gear for it costs about \$25 a circle
