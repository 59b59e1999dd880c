"""Maps for other programs: any image of a run, or any tomogram, as MRC."""
