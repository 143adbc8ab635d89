package mlserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// settingsFile is the name by which MLServer recognises a model in its repository
// (mlserver/repository/repository.py, DEFAULT_MODEL_SETTINGS_FILENAME).
const settingsFile = "model-settings.json"

// implementations maps a model format to the class that serves it, as in ModelMesh's adapter, whose entry for mllib
// ("mlserver-mllib") Python cannot import, and with the runtimes that MLServer has gained since
// (github.com/SeldonIO/MLServer, runtimes/).
var implementations = map[string]string{
	"catboost":    "mlserver_catboost.CatboostModel",
	"huggingface": "mlserver_huggingface.HuggingFaceRuntime",
	"lightgbm":    "mlserver_lightgbm.LightGBMModel",
	"mlflow":      "mlserver_mlflow.MLflowRuntime",
	"mllib":       "mlserver_mllib.MLlibModel",
	"sklearn":     "mlserver_sklearn.SKLearnModel",
	"xgboost":     "mlserver_xgboost.XGBoostModel",
}

// implementation answers the class for a format, or "" when MLServer has none of its own.
func implementation(format string) string { return implementations[strings.ToLower(format)] }

func formats() string { return strings.Join(slices.Sorted(maps.Keys(implementations)), ", ") }

// settings are the contents of a model-settings.json. They stay a plain JSON object: what MLServer adds in later versions
// must pass through.
type settings map[string]any

// generated makes the settings of a model that brought none. A format without an implementation is left to
// MLSERVER_MODEL_IMPLEMENTATION in the server's environment, which fills missing fields.
func generated(id, format, path string) (settings, error) {
	if err := openable(path); err != nil {
		return nil, err
	}
	s := settings{"name": id, "parameters": map[string]any{"uri": path}}
	if class := implementation(format); class != "" {
		s["implementation"] = class
	}
	return s, nil
}

// adopted turns the settings that came with a model directory into ours: the name becomes the id, the uri absolute,
// and the version goes, since a model with a version answers NOT_FOUND to requests for another one.
func adopted(id, dir string, raw []byte) (settings, error) {
	var s settings
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read the model's %s: %w", settingsFile, err)
	}
	if s == nil {
		return nil, fmt.Errorf("read the model's %s: it is null, not an object", settingsFile)
	}
	s["name"] = id
	switch parameters := s["parameters"].(type) {
	case nil:
	case map[string]any:
		delete(parameters, "version")
		if err := absoluteURI(parameters, dir); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("read the model's %s: parameters is not an object", settingsFile)
	}
	return s, nil
}

// scheme tells a URL that MLServer hands on to a library (mlflow "runs:/...") from a path.
var scheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)

// absoluteURI anchors a path at the model's directory. A path that is absolute already, or climbs, is read as if the
// directory were the root: nothing outside of it belongs to the model.
func absoluteURI(parameters map[string]any, dir string) error {
	value, set := parameters["uri"]
	if !set || value == nil {
		return nil
	}
	uri, ok := value.(string)
	if !ok {
		return fmt.Errorf("read the model's %s: parameters.uri is not a string", settingsFile)
	}
	switch prefix := scheme.FindString(uri); {
	case strings.EqualFold(prefix, "file:"):
		uri = strings.TrimPrefix(uri[len(prefix):], "//")
	case prefix != "":
		return nil
	}
	path := filepath.Join(dir, filepath.Join("/", uri))
	parameters["uri"] = path
	return openable(path)
}

// openable refuses what MLServer would cut off, since it reads parameters.uri as a URL (mlserver/utils.py, get_model_uri).
func openable(path string) error {
	if strings.ContainsAny(path, "?#;") {
		return fmt.Errorf("MLServer cannot open a model whose path has one of the characters ? # ;: rename %q", filepath.Base(path))
	}
	return nil
}

// named reports whether the settings say which class serves the model.
func (s settings) named() bool {
	class, _ := s["implementation"].(string)
	return class != ""
}

// encode answers the file's bytes.
func (s settings) encode() ([]byte, error) { return json.MarshalIndent(s, "", "  ") }
