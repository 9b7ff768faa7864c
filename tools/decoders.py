"""Make `results/decoders` anew: for each agent that ships, the linear decoder of its goal."""

from pathlib import Path

from bpa import data
from bpa.experiments.decode import as_json, fit_goal_decoder
from bpa.training.checkpoint import load_weights

FOLDER = Path(__file__).parents[1] / "results" / "decoders"


def main() -> None:
    """Fit them one after the other and write a file for each."""
    FOLDER.mkdir(exist_ok=True)
    for name in data.agents():
        decoder = fit_goal_decoder(*load_weights(name), engine="eager")
        (FOLDER / f"{name}.json").write_text(as_json(decoder), encoding="utf-8", newline="\n")
        print(f"{name}: R² {decoder.r_squared:.2f}, off by {decoder.cells_off:.2f} cells")


if __name__ == "__main__":
    main()
