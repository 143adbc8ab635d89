package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// maxElements bounds what a shape may claim, so that its product cannot overflow.
const maxElements = math.MaxInt32

type inferRequest struct {
	ID         string                     `json:"id"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Inputs     []struct {
		Name       string                     `json:"name"`
		Shape      []int64                    `json:"shape"`
		Datatype   string                     `json:"datatype"`
		Parameters map[string]json.RawMessage `json:"parameters"`
		Data       json.RawMessage            `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name       string                     `json:"name"`
		Parameters map[string]json.RawMessage `json:"parameters"`
	} `json:"outputs"`
}

// DecodeInferRequest reads the body of POST /v2/models/{model}/infer. Errors are *Error.
func DecodeInferRequest(model, version string, body []byte) (*inference.ModelInferRequest, error) {
	var parsed inferRequest
	if err := json.Unmarshal(body, &parsed); err != nil {
		return nil, explain(err, body)
	}
	if len(parsed.Inputs) == 0 {
		return nil, errorf(`the request has no inputs: want {"inputs": [{"name": ..., "shape": [...], "datatype": ..., "data": [...]}]}`)
	}
	request := &inference.ModelInferRequest{ModelName: model, ModelVersion: version, Id: parsed.ID}
	var err error
	if request.Parameters, err = decodeParameters("request", parsed.Parameters); err != nil {
		return nil, err
	}
	for _, input := range parsed.Inputs {
		tensor := &inference.ModelInferRequest_InferInputTensor{Name: input.Name, Datatype: input.Datatype, Shape: input.Shape}
		if tensor.Parameters, err = decodeParameters("input "+strconv.Quote(input.Name), input.Parameters); err != nil {
			return nil, err
		}
		raw, err := decodeTensor(tensor, input.Data)
		if err != nil {
			return nil, errorf("input %q: %s", input.Name, err)
		}
		request.Inputs = append(request.Inputs, tensor)
		request.RawInputContents = append(request.RawInputContents, raw)
	}
	for _, output := range parsed.Outputs {
		parameters, err := decodeParameters("output "+strconv.Quote(output.Name), output.Parameters)
		if err != nil {
			return nil, err
		}
		request.Outputs = append(request.Outputs,
			&inference.ModelInferRequest_InferRequestedOutputTensor{Name: output.Name, Parameters: parameters})
	}
	return request, nil
}

// explain says where the body stops being what it should be.
func explain(err error, body []byte) *Error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if len(bytes.TrimSpace(body)) == 0 {
			return errorf("the body is empty: want the JSON of an inference request")
		}
		return errorf("the body is not JSON: %s at byte %d", syntax, syntax.Offset)
	}
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if mismatch.Field == "" {
			return errorf("the body is a JSON %s: want an object with inputs", mismatch.Value)
		}
		return errorf("%s: is a JSON %s, want %s", mismatch.Field, mismatch.Value, jsonKind(mismatch.Type.Kind().String()))
	}
	return errorf("the body is not a JSON inference request: %s", err)
}

func jsonKind(goKind string) string {
	switch goKind {
	case "slice":
		return "an array"
	case "map", "struct":
		return "an object"
	case "int64":
		return "an integer"
	}
	return "a " + goKind
}

// decodeTensor answers the raw contents of one input.
func decodeTensor(tensor *inference.ModelInferRequest_InferInputTensor, data json.RawMessage) ([]byte, error) {
	kind, ok := datatypes[tensor.GetDatatype()]
	if !ok {
		return nil, fmt.Errorf("unknown datatype %q: one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, "+
			"FP16, BF16, FP32, FP64, BYTES", tensor.GetDatatype())
	}
	count, err := elements(tensor.GetShape())
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || string(data) == "null" {
		return nil, fmt.Errorf("has no data: want %d elements of %s", count, tensor.GetDatatype())
	}
	d := &tensorDecoder{kind: kind, datatype: tensor.GetDatatype(), base64: isBase64(tensor.GetParameters())}
	// An element takes at least two bytes of JSON, so what is allocated is bounded by what was sent.
	d.raw = make([]byte, 0, min(count, len(data)/2+1)*max(kind.size, 1))
	if err := d.decode(data, tensor.GetShape()); err != nil {
		return nil, err
	}
	if d.count != count {
		return nil, fmt.Errorf("data has %d elements, but shape %v wants %d", d.count, tensor.GetShape(), count)
	}
	return d.raw, nil
}

// elements multiplies a shape.
func elements(shape []int64) (int, error) {
	product := int64(1)
	for _, dimension := range shape {
		if dimension < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if dimension != 0 && product > maxElements/dimension {
			return 0, fmt.Errorf("shape %v has more than %d elements", shape, maxElements)
		}
		product *= dimension
	}
	return int(product), nil
}
