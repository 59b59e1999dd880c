"""The programs: each module knows the files of one family, and says units, origin, order of axes and their source."""
