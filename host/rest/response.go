package rest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// EncodeInferResponse writes an answer as JSON, with flat data. An error says that the runtime's answer contradicts
// itself, such as a buffer shorter than its shape.
func EncodeInferResponse(response *inference.ModelInferResponse) ([]byte, error) {
	buffer := appendField(append([]byte(nil), '{'), "model_name", response.GetModelName())
	if version := response.GetModelVersion(); version != "" {
		buffer = appendField(append(buffer, ','), "model_version", version)
	}
	if id := response.GetId(); id != "" {
		buffer = appendField(append(buffer, ','), "id", id)
	}
	var err error
	if len(response.GetParameters()) > 0 {
		buffer = append(buffer, `,"parameters":`...)
		if buffer, err = appendParameters(buffer, response.GetParameters()); err != nil {
			return nil, fmt.Errorf("encode parameters: %w", err)
		}
	}
	raw := response.GetRawOutputContents()
	if len(raw) > 0 && len(raw) != len(response.GetOutputs()) {
		return nil, fmt.Errorf("the runtime answered %d outputs but %d raw contents", len(response.GetOutputs()), len(raw))
	}
	buffer = append(buffer, `,"outputs":[`...)
	for i, output := range response.GetOutputs() {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		var contents []byte
		if len(raw) > 0 {
			contents = raw[i]
		} else if contents, err = flatten(output); err != nil {
			return nil, fmt.Errorf("output %q: %w", output.GetName(), err)
		}
		if buffer, err = appendOutput(buffer, output, contents); err != nil {
			return nil, fmt.Errorf("output %q: %w", output.GetName(), err)
		}
	}
	return append(buffer, "]}"...), nil
}

func appendOutput(buffer []byte, output *inference.ModelInferResponse_InferOutputTensor, raw []byte) ([]byte, error) {
	kind, ok := datatypes[output.GetDatatype()]
	if !ok {
		return nil, fmt.Errorf("the runtime answered unknown datatype %q", output.GetDatatype())
	}
	count, err := elements(output.GetShape())
	if err != nil {
		return nil, err
	}
	buffer = appendField(append(buffer, '{'), "name", output.GetName())
	buffer = appendField(append(buffer, ','), "datatype", output.GetDatatype())
	buffer = appendShape(append(buffer, `,"shape":`...), output.GetShape())

	parameters := output.GetParameters()
	var data []byte
	if kind.size == 0 {
		texts, err := split(raw, count)
		if err != nil {
			return nil, err
		}
		asBase64 := !allText(texts)
		if asBase64 {
			parameters = maps.Clone(parameters)
			if parameters == nil {
				parameters = make(map[string]*inference.InferParameter, 1)
			}
			parameters[contentType] = &inference.InferParameter{
				ParameterChoice: &inference.InferParameter_StringParam{StringParam: "base64"},
			}
		}
		if data, err = appendTexts(data, texts, asBase64); err != nil {
			return nil, err
		}
	} else if data, err = appendNumbers(data, kind, raw, count); err != nil {
		return nil, err
	}
	if len(parameters) > 0 {
		buffer = append(buffer, `,"parameters":`...)
		if buffer, err = appendParameters(buffer, parameters); err != nil {
			return nil, err
		}
	}
	buffer = append(append(buffer, `,"data":`...), data...)
	return append(buffer, '}'), nil
}

func appendNumbers(buffer []byte, kind datatype, raw []byte, count int) ([]byte, error) {
	if len(raw) != count*kind.size {
		return nil, fmt.Errorf("the runtime answered %d bytes for %d elements of %d bytes", len(raw), count, kind.size)
	}
	buffer = append(buffer, '[')
	for i := range count {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		buffer = kind.format(buffer, raw[i*kind.size:])
	}
	return append(buffer, ']'), nil
}

func appendTexts(buffer []byte, texts [][]byte, asBase64 bool) ([]byte, error) {
	buffer = append(buffer, '[')
	var err error
	for i, text := range texts {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		if buffer, err = formatText(buffer, text, asBase64); err != nil {
			return nil, err
		}
	}
	return append(buffer, ']'), nil
}

// split cuts raw BYTES contents into elements, each preceded by its length in 4 little-endian bytes.
func split(raw []byte, count int) ([][]byte, error) {
	var texts [][]byte
	for len(raw) > 0 {
		if len(raw) < 4 || uint64(len(raw)-4) < uint64(binary.LittleEndian.Uint32(raw)) {
			return nil, fmt.Errorf("the runtime answered BYTES that end within element %d", len(texts))
		}
		length := int(binary.LittleEndian.Uint32(raw))
		texts = append(texts, raw[4:4+length])
		raw = raw[4+length:]
	}
	if len(texts) != count {
		return nil, fmt.Errorf("the runtime answered %d BYTES elements, but its shape wants %d", len(texts), count)
	}
	return texts, nil
}

func appendField(buffer []byte, name, value string) []byte {
	buffer = append(strconv.AppendQuote(buffer, name), ':')
	quoted, err := json.Marshal(value)
	if err != nil {
		quoted = []byte(`""`) // a string always encodes
	}
	return append(buffer, quoted...)
}

func appendShape(buffer []byte, shape []int64) []byte {
	buffer = append(buffer, '[')
	for i, dimension := range shape {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		buffer = strconv.AppendInt(buffer, dimension, 10)
	}
	return append(buffer, ']')
}
