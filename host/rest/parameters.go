package rest

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// decodeParameters reads the parameters of a request or tensor: strings, booleans and numbers. A null is as none.
func decodeParameters(where string, parsed map[string]json.RawMessage) (map[string]*inference.InferParameter, error) {
	if len(parsed) == 0 {
		return nil, nil
	}
	parameters := make(map[string]*inference.InferParameter, len(parsed))
	for name, value := range parsed {
		parameter, err := decodeParameter(value)
		if err != nil {
			return nil, errorf("%s: parameter %q: %s", where, name, err)
		}
		if parameter != nil {
			parameters[name] = parameter
		}
	}
	return parameters, nil
}

func decodeParameter(value json.RawMessage) (*inference.InferParameter, error) {
	switch value[0] {
	case 'n':
		return nil, nil
	case 't', 'f':
		return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: value[0] == 't'}}, nil
	case '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return nil, err
		}
		return &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: text}}, nil
	case '[', '{':
		return nil, fmt.Errorf("is an array or object: want a string, number or boolean")
	}
	if whole, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return &inference.InferParameter{ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: whole}}, nil
	}
	if whole, err := strconv.ParseUint(string(value), 10, 64); err == nil {
		return &inference.InferParameter{ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: whole}}, nil
	}
	number, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return nil, fmt.Errorf("%s does not fit a 64-bit number", value)
	}
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_DoubleParam{DoubleParam: number}}, nil
}

// isBase64 reports whether a BYTES tensor says that its strings are base64, in any of the spellings that ModelMesh's REST
// proxy takes.
func isBase64(parameters map[string]*inference.InferParameter) bool {
	switch parameters[contentType].GetStringParam() {
	case "base64", "b64", "BASE64", "B64":
		return true
	}
	return false
}

const contentType = "content_type"

// appendParameters writes parameters as a JSON object, with keys in order.
func appendParameters(buffer []byte, parameters map[string]*inference.InferParameter) ([]byte, error) {
	plain := make(map[string]any, len(parameters))
	for name, parameter := range parameters {
		switch choice := parameter.GetParameterChoice().(type) {
		case *inference.InferParameter_BoolParam:
			plain[name] = choice.BoolParam
		case *inference.InferParameter_Int64Param:
			plain[name] = choice.Int64Param
		case *inference.InferParameter_Uint64Param:
			plain[name] = choice.Uint64Param
		case *inference.InferParameter_StringParam:
			plain[name] = choice.StringParam
		case *inference.InferParameter_DoubleParam:
			plain[name] = json.RawMessage(appendFloat(nil, choice.DoubleParam, 64))
		}
	}
	content, err := json.Marshal(plain)
	return append(buffer, content...), err
}
