# Outputs that arrive bit by bit: coloured log lines, a progress bar, a figure that grows.
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # The night job, replayed
#
# What you see is the stored result; a few seconds after the page opens, the job runs again before your eyes.

# %% id=plots include=plots
# %% id=job
import time

import numpy as np
from IPython.display import HTML, clear_output

random = np.random.default_rng(7)
STEPS = ["extract orders", "extract returns", "join customers", "fit forecast", "publish"]
PAUSE = 0.25  # seconds between two signs of life


def progress(done, text):
    """A progress bar that a screen reader can read."""
    return HTML(
        f'<div style="display: flex; gap: 12px; align-items: center"><progress value="{done}" max="{len(STEPS)}" '
        f'aria-label="Steps of the job" style="flex: 1; height: 1.1rem; accent-color: {TEAL}"></progress>'
        f'<span style="min-width: 11rem">{text}</span></div>'
    )


# %% id=bar grid=3,0,12,2
bar = display(progress(0, "waiting"), display_id="night-job")

# %% id=log grid=5,0,6,13
COLOURS = {"info": "36", "done": "32", "warn": "33", "fail": "31"}


def log(level, text):
    """Print one line with its level in colour, as many command-line tools do."""
    print(f"\x1b[1;{COLOURS[level]}m{level:<5}\x1b[0m {text}")
    time.sleep(PAUSE)


for number, step in enumerate(STEPS):
    bar.update(progress(number, step))
    log("info", f"{step} \x1b[2m(step {number + 1} of {len(STEPS)})\x1b[0m")
    if step == "extract returns":
        log("warn", "3 returns have no order; \x1b[4mkept apart\x1b[0m")
    if step == "join customers":
        log("fail", "customer 4711 is \x1b[7m twice \x1b[0m in the list")
        log("info", "took the newer one")
    log("done", f"\x1b[38;5;245m{random.integers(2, 90) * 100:>6,} rows\x1b[0m")
bar.update(progress(len(STEPS), "all steps done"))

# %% id=loss grid=5,6,6,13
losses = []
for epoch in range(1, 9):
    losses.extend(np.exp(-(epoch + np.arange(5) / 5) / 2.6) + random.normal(0, 0.012, 5))
    figure, axes = plt.subplots(figsize=(7.1, 3.9))
    axes.plot(np.arange(len(losses)) / 5 + 1, losses, color=TEAL)
    axes.plot(len(losses) / 5 + 0.8, losses[-1], "o", color=AMBER)
    axes.set(
        title=f"Forecast error after {epoch} of 8 rounds",
        xlim=(1, 9),
        ylim=(0, 0.8),
        xlabel="round",
    )
    clear_output(wait=True)
    display(
        picture(
            figure, alt=f"The forecast error falls to {losses[-1]:.2f} after {epoch} of 8 rounds."
        )
    )
    time.sleep(PAUSE)

# %% [markdown] id=note grid=18,0,12,2
# The bar is changed in place (`update_display`), the curve replaces itself (`clear_output(wait=True)`), the log streams.
