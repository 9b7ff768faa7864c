"""What learning consists of: settings, rollouts, losses, optimisers, run folders; the loop is `bpa.train`."""
