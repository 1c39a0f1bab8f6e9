"""The rooms of the tagger, in the order a sentence walks through them:

corpus -> encoding -> batching -> collating -> model -> loss -> metrics -> matrix.
"""
