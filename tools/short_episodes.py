"""Make `results/short` anew: for each agent that ships, what it earns in episodes shorter than its own."""

import json
from pathlib import Path

from bpa import GridMaze, data, evaluate
from bpa.training.checkpoint import load_weights

FOLDER = Path(__file__).parents[1] / "results" / "short"
STEPS = 50  # as many as a reader plays for a first try
EPISODES, SEED = 2000, 1  # as for its own length


def main() -> None:
    """Measure them one after the other and write a file for each."""
    FOLDER.mkdir(exist_ok=True)
    for name in data.agents():
        net, config = load_weights(name)
        maze = GridMaze(config.size, 100, STEPS, config.reward, config.wall_penalty)
        score = evaluate(net, maze, EPISODES, SEED)
        found = {
            "episode_length": STEPS,
            "episodes": EPISODES,
            "seed": SEED,
            "mean_reward": score.mean,
            "standard_error": score.standard_error,
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(found) + "\n", encoding="utf-8", newline="\n")
        print(f"{name}: {score.mean:.1f} ± {score.standard_error:.1f} in {STEPS} steps")


if __name__ == "__main__":
    main()
