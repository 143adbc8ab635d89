package printer

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// Encode writes objects as "json" or "yaml": one object alone when single is set, else a v1 List, as kubectl does.
func Encode(w io.Writer, format string, objects []Object, single bool) error {
	var value any
	if single && len(objects) == 1 {
		value = objects[0]
	} else {
		if objects == nil {
			objects = []Object{}
		}
		value = map[string]any{
			"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}, "items": objects,
		}
	}
	content, err := json.MarshalIndent(value, "", "    ")
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if format == "yaml" {
		if content, err = yaml.JSONToYAML(content); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		_, err = w.Write(content)
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", content)
	return err
}
