# SPDX-License-Identifier: Apache-2.0
"""Trains a classifier on the breast cancer data set that ships with scikit-learn, inside whatever image the job was given."""
import argparse
import json

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split


def train(trees: int = 60) -> dict:
    """Trains and gives the area under the ROC curve on a quarter of the rows that the model has not seen."""
    data = load_breast_cancer()
    train_x, test_x, train_y, test_y = train_test_split(data.data, data.target, test_size=0.25, random_state=7)
    model = lightgbm.LGBMClassifier(n_estimators=trees, n_jobs=2, verbose=-1)
    model.fit(train_x, train_y)
    auc = roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])
    return {"auc": round(float(auc), 4), "rows": len(data.target), "lightgbm": lightgbm.__version__}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int, default=60)
    print(json.dumps(train(parser.parse_args().trees)))
