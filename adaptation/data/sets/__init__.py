"""Readers of the field's data sets: people in images with the labels that each set has."""
