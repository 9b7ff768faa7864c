"""The goal, read in an agent by a linear decoder."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small import SMALL

from bpa import Network, data
from bpa.experiments.decode import PRICE, as_json, fit_goal_decoder, load_goal_decoder, record, scores
from bpa.training.checkpoint import load_weights


def test_it_is_the_ridge_regression_of_the_chapter():
    net = Network(17, 9, 4, generator=torch.Generator().manual_seed(0))
    decoder = fit_goal_decoder(net, SMALL, episodes=30, seed=2, engine="eager")
    lives = record(net, SMALL, 30, 2, "eager")
    x = lives.h[:, :20].flatten(0, 1).numpy()
    y = lives.goals[:20].expand(len(lives.h), -1, -1).flatten(0, 1).numpy()
    theirs = make_pipeline(StandardScaler(), Ridge(alpha=PRICE)).fit(x, y)
    np.testing.assert_allclose(decoder.read(lives.h).flatten(0, 1), theirs.predict(lives.h.flatten(0, 1)))
    assert not lives.knows[0].any()


@pytest.mark.parametrize("name", data.agents())
def test_a_decoder_that_ships_reads_fresh_episodes_as_well_as_it_says(name):
    decoder = load_goal_decoder(name)
    lives = record(*load_weights(name), 40, 99, "eager")
    everyone = torch.ones(40, dtype=torch.bool)
    r_squared, cells_off = scores(decoder, lives.goals.mean(0), lives, everyone)
    assert abs(r_squared - decoder.r_squared) < 0.08
    assert abs(cells_off - decoder.cells_off) < 0.4
    assert decoder.r_squared > 0.8
    read = decoder.read(lives.h)
    off = (read - lives.goals).norm(dim=-1)
    assert off[~lives.knows].mean() > 2 * decoder.cells_off, "nobody can know the goal before it is found"
    assert as_json(decoder) == (data.HERE / "decoders" / f"{name}.json").read_text(encoding="utf-8")


def test_bad_input_is_refused():
    net = Network(17, 9, 4)
    with pytest.raises(ValueError, match="episodes must be"):
        fit_goal_decoder(net, SMALL, episodes=2)
    with pytest.raises(ValueError, match="task must be 'maze' to have a goal, got 'recall'"):
        fit_goal_decoder(net, SMALL.replace(task="recall"), engine="eager")
    with pytest.raises(ValueError, match="name must be one of 'maze-9'"):
        load_goal_decoder("maze-12")
