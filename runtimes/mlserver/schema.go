package mlserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// datatypes are those of the Open Inference Protocol, which MLServer checks metadata against.
var datatypes = []string{
	"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES",
}

// tensor is one entry of a user's schema file, in the form of ModelMesh's schemaPath.
type tensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// schema is what a user says of a model's inputs and outputs; a side that is absent stays as the model's own settings
// have it.
type schema struct {
	Inputs  []tensor `json:"inputs"`
	Outputs []tensor `json:"outputs"`
}

// inject parses a schema file into s. MLServer would answer a datatype that it does not know by not finding the model
// at all, so entries are checked here.
func (s settings) inject(raw []byte) error {
	var declared schema
	if err := json.Unmarshal(raw, &declared); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	for side, tensors := range map[string][]tensor{"inputs": declared.Inputs, "outputs": declared.Outputs} {
		if tensors == nil {
			continue
		}
		for i := range tensors {
			if err := tensors[i].normalize(); err != nil {
				return fmt.Errorf("read schema: %s[%d]: %w", side, i, err)
			}
		}
		s[side] = tensors
	}
	return nil
}

func (t *tensor) normalize() error {
	if t.Name == "" {
		return fmt.Errorf("name is missing")
	}
	t.Datatype = strings.ToUpper(t.Datatype)
	if t.Datatype == "STRING" {
		// ModelMesh's schemas say STRING for what the protocol calls BYTES.
		t.Datatype = "BYTES"
	}
	if !slices.Contains(datatypes, t.Datatype) {
		return fmt.Errorf("datatype %q of %q is not one of %s", t.Datatype, t.Name, strings.Join(datatypes, " "))
	}
	if t.Shape == nil {
		t.Shape = []int64{}
	}
	return nil
}
