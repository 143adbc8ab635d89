"""Trains the sample models, laid out as the bucket holds them, on the data sets that scikit-learn carries.

usage: train.py OUTPUT_DIRECTORY

Writes OUTPUT_DIRECTORY/modelmesh-example-models/sklearn/*.joblib, and OUTPUT_DIRECTORY/samples.json: for each model its
key in the bucket, one row of input and the answer that scikit-learn itself gives to it.
"""

import json
import pathlib
import sys

import joblib
from sklearn import datasets, linear_model, pipeline, preprocessing, svm, tree

BUCKET = "modelmesh-example-models"


def digits():
    """The ModelMesh tutorial's model: scikit-learn's digits example, trained on the first half of the pictures."""
    images, labels = datasets.load_digits(return_X_y=True)
    half = len(images) // 2
    # The first picture that the model has not seen is the one that the tutorial asks about.
    return svm.SVC(gamma=0.001).fit(images[:half], labels[:half]), images[half]


def iris():
    """Three kinds of iris by four measures: a classifier that gives probabilities too."""
    measures, kinds = datasets.load_iris(return_X_y=True)
    scaled = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=1000))
    return scaled.fit(measures, kinds), measures[100]


def diabetes():
    """Progression of an illness by ten measures: a regression, so the answer is a real number."""
    measures, progression = datasets.load_diabetes(return_X_y=True)
    return linear_model.LinearRegression().fit(measures, progression), measures[0]


def wine():
    """Three growers by thirteen measures of their wine: a tree of a few hundred bytes."""
    measures, growers = datasets.load_wine(return_X_y=True)
    return tree.DecisionTreeClassifier(random_state=0).fit(measures, growers), measures[60]


MODELS = {
    "sklearn/mnist-svm.joblib": digits,
    "sklearn/iris-logreg.joblib": iris,
    "sklearn/diabetes-linear.joblib": diabetes,
    "sklearn/wine-tree.joblib": wine,
}


def main(output):
    samples = []
    for key, train in MODELS.items():
        model, row = train()
        file = output / BUCKET / key
        file.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, file)
        samples.append({
            "key": key,
            "bytes": file.stat().st_size,
            "input": [float(value) for value in row],
            "answer": model.predict([row])[0].item(),
        })
    (output / "samples.json").write_text(json.dumps({"bucket": BUCKET, "samples": samples}, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
