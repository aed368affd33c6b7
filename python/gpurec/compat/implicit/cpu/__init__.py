"""implicit's classes of factors, which its factory functions give; answers come from gpurec's backends."""
