"""nbsnap beside dill, cloudpickle and joblib: the same sessions, saved and loaded in processes of their own.

`python3 dev.py bench` runs it; README.md here says what is measured, and how.
"""
