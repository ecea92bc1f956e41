"""Models of the classic kind: scikit-learn, xgboost, lightgbm, statsmodels, optuna, joblib."""

from __future__ import annotations

from .table import Library, Row

SKLEARN = Library(
    "scikit-learn",
    ("scikit-learn",),
    (
        Row(
            "fitted estimators of every family",
            """
import numpy as np, pandas as pd
from sklearn import (cluster, decomposition, discriminant_analysis, ensemble, feature_extraction, gaussian_process, impute, isotonic, linear_model, manifold, mixture, naive_bayes, neighbors, neural_network, preprocessing, svm, tree)
from sklearn.datasets import load_iris, make_classification
X, y = make_classification(150, 6, random_state=0); iris = load_iris(as_frame=True)
fitted = [model.fit(X, y) for model in (
    linear_model.LogisticRegression(), linear_model.RidgeCV(), linear_model.LassoLars(), linear_model.SGDClassifier(random_state=0), linear_model.HuberRegressor(max_iter=500),
    ensemble.RandomForestClassifier(10, random_state=0), ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0), ensemble.HistGradientBoostingClassifier(max_iter=5), ensemble.ExtraTreesRegressor(5, random_state=0), ensemble.AdaBoostClassifier(n_estimators=3, random_state=0), ensemble.IsolationForest(n_estimators=5, random_state=0),
    ensemble.VotingClassifier([('l', linear_model.LogisticRegression()), ('n', naive_bayes.GaussianNB())]), ensemble.StackingClassifier([('t', tree.DecisionTreeClassifier(random_state=0))], cv=2), ensemble.BaggingClassifier(n_estimators=3, random_state=0),
    svm.SVC(probability=False), svm.LinearSVC(), svm.OneClassSVM(), neighbors.KNeighborsClassifier(algorithm='kd_tree'), neighbors.KNeighborsRegressor(algorithm='ball_tree'), tree.DecisionTreeClassifier(random_state=0),
    neural_network.MLPClassifier((5,), max_iter=20, random_state=0), naive_bayes.BernoulliNB(), gaussian_process.GaussianProcessClassifier(), discriminant_analysis.LinearDiscriminantAnalysis(), cluster.KMeans(2, n_init=1, random_state=0), cluster.MiniBatchKMeans(2, n_init=1, random_state=0), mixture.GaussianMixture(2, random_state=0))]
density = neighbors.KernelDensity().fit(X); labels = cluster.DBSCAN().fit(X); straight = isotonic.IsotonicRegression().fit(X[:, 0], y)
""",
            ("iris.target_names.tolist() == ['setosa', 'versicolor', 'virginica'] and iris.frame.shape == (150, 5)",),
            (
                "[model.predict(X[:9]).tolist() for model in fitted]",
                "[model.predict_proba(X[:3]).tolist() for model in fitted if hasattr(model, 'predict_proba')]",
                "density.score_samples(X[:3]).tolist(), labels.labels_.tolist(), straight.predict([.5]).tolist(), [str(m) for m in fitted]",
                "fitted[3].partial_fit(X[:20], y[:20]).coef_.tolist(), fitted[20].partial_fit(X[:20], y[:20]).predict_proba(X[:3]).tolist()",
            ),
        ),
        Row(
            "transformers",
            """
changed = [t.fit(X) for t in (preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2), preprocessing.QuantileTransformer(n_quantiles=20), preprocessing.KBinsDiscretizer(3), preprocessing.PowerTransformer(), preprocessing.SplineTransformer(), decomposition.PCA(2), decomposition.TruncatedSVD(2, random_state=0), decomposition.FastICA(2, random_state=0, whiten='unit-variance'), impute.SimpleImputer(), impute.KNNImputer())]
words = feature_extraction.text.TfidfVectorizer().fit(['one two', 'two three']); counts = feature_extraction.text.CountVectorizer(tokenizer=lambda text: text.split('-'), token_pattern=None).fit(['a-b', 'b-c']); one_hot = preprocessing.OneHotEncoder(handle_unknown='ignore').fit([['a'], ['b']]); names = preprocessing.LabelEncoder().fit(['u', 'v']); hashed = feature_extraction.FeatureHasher(8); dicts = feature_extraction.DictVectorizer().fit([{'a': 1}])
""",
            (),
            (
                "[np.asarray(t.transform(X[:3]).todense() if hasattr(t.transform(X[:3]), 'todense') else t.transform(X[:3])).tolist() for t in changed]",
                "words.transform(['one three']).toarray().tolist(), counts.transform(['c-b']).toarray().tolist(), one_hot.transform([['b']]).toarray().tolist(), names.inverse_transform([1]).tolist(), dicts.get_feature_names_out().tolist(), hashed.transform([{'k': 1}]).toarray().tolist()",
            ),
        ),
        Row(
            "pipelines with functions, classes and scorers of the session; searches; splitters",
            """
from sklearn import compose, metrics, model_selection, pipeline
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
shift = 1.
def shifted(values): return values + shift
class Clip(BaseEstimator, TransformerMixin):
    def __init__(self, top=1.): self.top = top
    def fit(self, X, y=None): self.seen_ = len(X); return self
    def transform(self, X): return np.minimum(X, self.top)
class Always(ClassifierMixin, BaseEstimator):
    def fit(self, X, y): self.classes_ = np.unique(y); self.most_ = y.max(); return self
    def predict(self, X): return np.full(len(X), self.most_)
pipe = pipeline.make_pipeline(preprocessing.FunctionTransformer(shifted), Clip(2.), linear_model.LogisticRegression()).fit(X, y); always = Always().fit(X, y)
def score(truth, told): return (truth == told).mean()
search = model_selection.GridSearchCV(pipe, {'clip__top': [1., 2.]}, cv=2, scoring=metrics.make_scorer(score)).fit(X, y); best = search.best_estimator_; chance = model_selection.RandomizedSearchCV(tree.DecisionTreeClassifier(random_state=0), {'max_depth': [1, 2, 3]}, n_iter=2, cv=2, random_state=0).fit(X, y)
mixed = compose.ColumnTransformer([('n', preprocessing.StandardScaler(), ['a']), ('c', preprocessing.OneHotEncoder(), compose.make_column_selector(dtype_include=object))]).fit(pd.DataFrame({'a': [1., 2.], 'b': pd.Series(['x', 'y'], dtype=object)})); folds = model_selection.StratifiedKFold(3, shuffle=True, random_state=np.random.RandomState(5)); joined = pipeline.FeatureUnion([('c', Clip()), ('p', decomposition.PCA(1))]).fit(X)
""",
            (
                "isinstance(pipe[1], Clip) and pipe[1].seen_ == 150 and search.best_estimator_ is best and clone(pipe).get_params()['clip__top'] == 2.",
                "always.predict(X[:2]).tolist() == [1, 1] and always.score(X, y) == (y == 1).mean()",
            ),
            (
                "pipe.predict_proba(X[:3]).tolist(), search.best_params_, search.cv_results_['mean_test_score'].tolist(), chance.best_params_",
                "globals().update(shift=-5.); pipe.predict_proba(X[:3]).tolist()",
                "mixed.transform(pd.DataFrame({'a': [3.], 'b': ['y']})).tolist(), joined.transform(X[:2]).tolist()",
                "[f[0].tolist()[:5] for f in folds.split(X, y)], search.fit(X, y).best_score_, pipe._repr_html_()[:0]",
            ),
        ),
    ),
)

XGBOOST = Library(
    "xgboost",
    ("xgboost",),
    (
        Row(
            "fitted estimators, boosters, early stopping, an objective of the session",
            """
import xgboost as xgb, numpy as np
rng = np.random.default_rng(0); X = rng.random((100, 4)); y = (X[:, 0] > .5).astype(int)
model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, y); ranker = xgb.XGBRegressor(n_estimators=20, early_stopping_rounds=2, n_jobs=1).fit(X, y, eval_set=[(X[:20], y[:20])], verbose=False)
booster = xgb.train({'max_depth': 2, 'nthread': 1}, xgb.DMatrix(X, y), 3); booster.set_attr(note='kept')
def squared(truth, told): return told - truth, np.ones_like(told)
own = xgb.XGBRegressor(n_estimators=2, objective=squared, n_jobs=1).fit(X, y); unfitted = xgb.XGBClassifier(max_depth=2); pair = [model, model.get_booster()]
""",
            (
                "model.n_features_in_ == 4 and own.objective is squared and pair[0] is model and pair[1] is model.get_booster() and booster.attr('note') == 'kept' and unfitted.max_depth == 2",
            ),
            (
                "model.predict_proba(X[:3]).tolist(), ranker.best_iteration, ranker.predict(X[:3]).tolist(), booster.predict(xgb.DMatrix(X[:3])).tolist(), own.predict(X[:3]).tolist()",
                "xgb.train({'max_depth': 2, 'nthread': 1}, xgb.DMatrix(X, y), 2, xgb_model=booster).predict(xgb.DMatrix(X[:3])).tolist()",
            ),
        ),
        Row(
            "data matrices of the library's own",
            "matrix = xgb.DMatrix(X, y)",
            skipped={"matrix": "make it again from the data"},
        ),
    ),
)

LIGHTGBM = Library(
    "lightgbm",
    ("lightgbm",),
    (
        Row(
            "fitted estimators, boosters, data sets",
            """
import lightgbm as lgb, numpy as np
rng = np.random.default_rng(0); X = rng.random((200, 4)); y = (X[:, 0] > .5).astype(int)
model = lgb.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(X, y); booster = lgb.train({'verbose': -1, 'num_threads': 1}, lgb.Dataset(X, y), 3); unbuilt = lgb.Dataset(X, y, free_raw_data=False)
def close(truth, told): return told - truth, np.ones_like(told)
own = lgb.LGBMRegressor(n_estimators=3, objective=close, verbose=-1, n_jobs=1).fit(X, y); pair = {'m': model, 'b': booster}
""",
            (
                "model.n_features_in_ == 4 and own.objective is close and pair['m'] is model and pair['b'] is booster and unbuilt.data is X",
            ),
            (
                "model.predict_proba(X[:3]).tolist(), booster.predict(X[:3]).tolist(), own.predict(X[:3]).tolist()",
                "lgb.train({'verbose': -1, 'num_threads': 1}, lgb.Dataset(X, y), 2, init_model=booster).predict(X[:3]).tolist()",
                "lgb.train({'verbose': -1, 'num_threads': 1}, unbuilt, 2).predict(X[:3]).tolist()",
            ),
        ),
        Row(
            "data sets that are built already",
            "built = lgb.Dataset(X, y).construct()",
            skipped={"built": "make it again from the data"},
        ),
    ),
)

STATSMODELS = Library(
    "statsmodels",
    ("statsmodels",),
    (
        Row(
            "fitted results, formulas with functions of the session, time series",
            """
import numpy as np, pandas as pd, statsmodels.api as sm, statsmodels.formula.api as smf
rng = np.random.default_rng(0); data = pd.DataFrame({'x': np.arange(40.), 'g': list('ab') * 20}); data['y'] = 2 * data.x + rng.normal(size=40); design = sm.add_constant(data[['x']]); model = sm.OLS(data.y, design); ols = model.fit(); glm = sm.GLM((data.y > 40).astype(int), design, family=sm.families.Binomial()).fit(maxiter=5)
def halved(v): return v / 2
formula = smf.ols('y ~ halved(x) + C(g)', data).fit(); arima = sm.tsa.ARIMA(data.y.to_numpy(), order=(1, 1, 0)).fit(); smooth = sm.nonparametric.lowess(data.y, data.x); hp = sm.tsa.seasonal_decompose(data.y.to_numpy(), period=4); ecdf = sm.distributions.ECDF([1, 2, 3])
exponential = sm.tsa.SimpleExpSmoothing(data.y.to_numpy(), initialization_method='estimated').fit(); poisson = sm.Poisson(rng.poisson(2, 40), design).fit(disp=0); mixed = smf.mixedlm('y ~ x', data, groups=data.g).fit()
""",
            ("ols.model is model",),
            (
                "ols.params.tolist(), ols.summary().tables[1].as_csv(), glm.predict(design[:3]).tolist(), formula.params.tolist()",
                "formula.predict(pd.DataFrame({'x': [1.], 'g': ['b']})).tolist()",
                "arima.forecast(3).tolist(), arima.append([80.]).forecast(1).tolist(), hp.trend[5], float(ecdf(2)), exponential.forecast(2).tolist(), poisson.params.tolist(), mixed.fe_params.tolist()",
            ),
        ),
    ),
)

OPTUNA = Library(
    "optuna",
    ("optuna",),
    (
        Row(
            "studies in memory, samplers, pruners, trials, distributions",
            """
import optuna; optuna.logging.set_verbosity(optuna.logging.ERROR)
def objective(trial): return (trial.suggest_float('x', -5, 5) - target) ** 2 + trial.suggest_int('n', 0, 3)
target = 2; study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=3), pruner=optuna.pruners.MedianPruner()); study.optimize(objective, 6); best = study.best_trial; space = optuna.distributions.FloatDistribution(0, 1)
random_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3), directions=['minimize', 'maximize']); random_study.optimize(lambda t: (t.suggest_float('a', 0, 1), 1.), 2); trial = study.ask(); study.set_user_attr('who', 'me')
""",
            (
                "len(study.trials) == 7 and best.number == study.best_trial.number and study.user_attrs == {'who': 'me'} and space.high == 1",
                "study.tell(trial, 50.) is not None and study.trials[-1].value == 50.",
            ),
            (
                "study.best_params, [t.params for t in study.trials]",
                "study.optimize(objective, 3); [t.params for t in study.trials]",
                "random_study.optimize(lambda t: (t.suggest_float('a', 0, 1), 1.), 2); [t.params for t in random_study.trials]",
            ),
        ),
    ),
)

JOBLIB = Library(
    "joblib",
    ("joblib",),
    (
        Row(
            "a Memory and functions cached by it, Parallel, delayed calls",
            """
import joblib
memory = joblib.Memory('cache', verbose=0); calls = []
@memory.cache
def slow(x): calls.append(x); return x * 2
first = slow(2); parallel = joblib.Parallel(n_jobs=1); call = joblib.delayed(abs)(-3); digest = joblib.hash([1])
""",
            (
                "memory.location == 'cache' and slow(2) == 4 and calls[0] == 2 and parallel([call]) == [3] and joblib.hash([1]) == digest",
                "slow(2) == 4 and len(calls) == 1 and slow.check_call_in_cache(2)",
                "slow.func(1) == 2 and calls == [2, 1]",
            ),
        ),
    ),
)

LIBRARIES = (SKLEARN, XGBOOST, LIGHTGBM, STATSMODELS, OPTUNA, JOBLIB)
