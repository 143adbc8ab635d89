package rest

import (
	"encoding/json"
	"fmt"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

type tensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// EncodeModelMetadata writes the body of GET /v2/models/{model}. Shapes are numbers, and lists are lists when empty.
func EncodeModelMetadata(metadata *inference.ModelMetadataResponse) ([]byte, error) {
	body, err := json.Marshal(struct {
		Name       string            `json:"name"`
		Versions   []string          `json:"versions,omitempty"`
		Platform   string            `json:"platform"`
		Inputs     []tensorMetadata  `json:"inputs"`
		Outputs    []tensorMetadata  `json:"outputs"`
		Properties map[string]string `json:"properties,omitempty"`
	}{
		metadata.GetName(), metadata.GetVersions(), metadata.GetPlatform(),
		tensors(metadata.GetInputs()), tensors(metadata.GetOutputs()), metadata.GetProperties(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode model metadata: %w", err)
	}
	return body, nil
}

func tensors(list []*inference.ModelMetadataResponse_TensorMetadata) []tensorMetadata {
	result := make([]tensorMetadata, 0, len(list))
	for _, tensor := range list {
		shape := tensor.GetShape()
		if shape == nil {
			shape = []int64{}
		}
		result = append(result, tensorMetadata{tensor.GetName(), tensor.GetDatatype(), shape})
	}
	return result
}

// EncodeServerMetadata writes the body of GET /v2.
func EncodeServerMetadata(metadata *inference.ServerMetadataResponse) ([]byte, error) {
	extensions := metadata.GetExtensions()
	if extensions == nil {
		extensions = []string{}
	}
	body, err := json.Marshal(struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{metadata.GetName(), metadata.GetVersion(), extensions})
	if err != nil {
		return nil, fmt.Errorf("encode server metadata: %w", err)
	}
	return body, nil
}
