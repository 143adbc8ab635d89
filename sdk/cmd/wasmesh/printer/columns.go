package printer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Object is a Kubernetes object as JSON has it.
type Object map[string]any

// ParseObject reads one object; integers stay integers.
func ParseObject(content string) (Object, error) {
	decoder := json.NewDecoder(strings.NewReader(content))
	decoder.UseNumber()
	var object Object
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	return object, nil
}

// Text walks the path and prints what is there; nothing there is empty.
func (o Object) Text(path ...string) string {
	switch value := o.at(path).(type) {
	case nil:
		return ""
	case string:
		return value
	case bool:
		return strconv.FormatBool(value)
	default:
		return fmt.Sprint(value)
	}
}

func (o Object) at(path []string) any {
	var value any = map[string]any(o)
	for _, key := range path {
		fields, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = fields[key]
	}
	return value
}

// Items answers the maps in the list at path.
func (o Object) Items(path ...string) []Object {
	items, _ := o.at(path).([]any)
	var objects []Object
	for _, item := range items {
		if fields, ok := item.(map[string]any); ok {
			objects = append(objects, fields)
		}
	}
	return objects
}

// joined prints one field of each item as kubectl prints a JSONPath over a list.
func (o Object) joined(field string, path ...string) string {
	var values []string
	for _, item := range o.Items(path...) {
		values = append(values, item.Text(field))
	}
	return strings.Join(values, ",")
}

func (o Object) age(now time.Time) string {
	created, _ := time.Parse(time.RFC3339, o.Text("metadata", "creationTimestamp"))
	return Age(now, created)
}

func name(o Object) string { return o.Text("metadata", "name") }

// Columns answers the printer columns of the kind's CRD.
func Columns(kind string, now time.Time) []Column[Object] {
	age := Column[Object]{Header: "AGE", Cell: func(o Object) string { return o.age(now) }}
	columns := []Column[Object]{{Header: "NAME", Cell: name}}
	switch kind {
	case "InferenceService":
		columns = append(columns, inferenceServiceColumns()...)
	case "Predictor":
		columns = append(columns,
			field("TYPE", "spec", "modelType", "name"), field("AVAILABLE", "status", "available"),
			field("ACTIVEMODEL", "status", "activeModelState"), field("TARGETMODEL", "status", "targetModelState"),
			field("TRANSITION", "status", "transitionStatus"))
	case "ServingRuntime", "ClusterServingRuntime":
		columns = append(columns, field("DISABLED", "spec", "disabled"),
			Column[Object]{Header: "MODELTYPE", Cell: func(o Object) string { return o.joined("name", "spec", "supportedModelFormats") }},
			Column[Object]{Header: "CONTAINERS", Cell: func(o Object) string { return o.joined("name", "spec", "containers") }})
	}
	return append(columns, age)
}

func inferenceServiceColumns() []Column[Object] {
	ready := func(o Object) string {
		for _, condition := range o.Items("status", "conditions") {
			if condition.Text("type") == "Ready" {
				return condition.Text("status")
			}
		}
		return ""
	}
	wide := func(header string, path ...string) Column[Object] {
		column := field(header, path...)
		column.Wide = true
		return column
	}
	traffic := []string{"status", "components", "predictor", "traffic"}
	percent := func(tag string) func(Object) string {
		return func(o Object) string {
			for _, target := range o.Items(traffic...) {
				if target.Text("tag") == tag || tag == "latest" && target.Text("latestRevision") == "true" {
					return target.Text("percent")
				}
			}
			return ""
		}
	}
	return []Column[Object]{
		field("URL", "status", "url"),
		{Header: "READY", Cell: ready},
		{Header: "PREV", Cell: percent("prev")},
		{Header: "LATEST", Cell: percent("latest")},
		field("PREVROLLEDOUTREVISION", "status", "components", "predictor", "previousRolledoutRevision"),
		field("LATESTREADYREVISION", "status", "components", "predictor", "latestReadyRevision"),
		wide("ACTIVEMODEL", "status", "modelStatus", "states", "activeModelState"),
		wide("TARGETMODEL", "status", "modelStatus", "states", "targetModelState"),
		wide("TRANSITION", "status", "modelStatus", "transitionStatus"),
	}
}

func field(header string, path ...string) Column[Object] {
	return Column[Object]{Header: header, Cell: func(o Object) string { return o.Text(path...) }}
}
