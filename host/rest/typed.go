package rest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// flatten turns typed contents into the raw layout, so that there is one way to print them. Which field a datatype uses
// is the protocol's: the small integers travel in the 32-bit fields.
func flatten(output *inference.ModelInferResponse_InferOutputTensor) ([]byte, error) {
	contents := output.GetContents()
	var raw []byte
	switch datatype := output.GetDatatype(); datatype {
	case "BOOL":
		for _, value := range contents.GetBoolContents() {
			b := byte(0)
			if value {
				b = 1
			}
			raw = append(raw, b)
		}
	case "INT8", "INT16", "INT32":
		bits := datatypes[datatype].size * 8
		for _, value := range contents.GetIntContents() {
			raw = appendInteger(raw, uint64(value), bits)
		}
	case "UINT8", "UINT16", "UINT32":
		bits := datatypes[datatype].size * 8
		for _, value := range contents.GetUintContents() {
			raw = appendInteger(raw, uint64(value), bits)
		}
	case "INT64":
		for _, value := range contents.GetInt64Contents() {
			raw = appendInteger(raw, uint64(value), 64)
		}
	case "UINT64":
		for _, value := range contents.GetUint64Contents() {
			raw = appendInteger(raw, value, 64)
		}
	case "FP16", "BF16":
		// The protocol has no field for them; MLServer uses the one of FP32.
		narrow := toFloat16
		if datatype == "BF16" {
			narrow = toBFloat16
		}
		for _, value := range contents.GetFp32Contents() {
			raw = binary.LittleEndian.AppendUint16(raw, narrow(value))
		}
	case "FP32":
		for _, value := range contents.GetFp32Contents() {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
		}
	case "FP64":
		for _, value := range contents.GetFp64Contents() {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(value))
		}
	case "BYTES":
		for _, value := range contents.GetBytesContents() {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(len(value)))
			raw = append(raw, value...)
		}
	default:
		return nil, fmt.Errorf("the runtime answered unknown datatype %q", datatype)
	}
	return raw, nil
}
