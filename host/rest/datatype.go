package rest

import (
	"encoding/binary"
	"math"
	"strconv"
)

// datatype is one element type of the protocol.
type datatype struct {
	// size of an element in bytes; 0 for BYTES, whose elements carry their length.
	size int
	// parse appends the little-endian bytes of a JSON number or literal; nil for BYTES.
	parse func(buffer []byte, literal string) ([]byte, bool)
	// format appends the JSON of the element at the start of raw.
	format func(buffer, raw []byte) []byte
}

// datatypes of the protocol: github.com/kserve/open-inference-protocol, "Tensor Data Types"; BF16 is Triton's.
var datatypes = map[string]datatype{
	"BOOL":   {1, parseBool, formatBool},
	"UINT8":  unsigned(8),
	"UINT16": unsigned(16),
	"UINT32": unsigned(32),
	"UINT64": unsigned(64),
	"INT8":   signed(8),
	"INT16":  signed(16),
	"INT32":  signed(32),
	"INT64":  signed(64),
	"FP16":   {2, parseFloat16, func(b, raw []byte) []byte { return appendFloat(b, float16(binary.LittleEndian.Uint16(raw)), 32) }},
	"BF16":   {2, parseBFloat16, func(b, raw []byte) []byte { return appendFloat(b, bfloat16(binary.LittleEndian.Uint16(raw)), 32) }},
	"FP32": {4, parseFloat32, func(b, raw []byte) []byte {
		return appendFloat(b, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), 32)
	}},
	"FP64": {8, parseFloat64, func(b, raw []byte) []byte {
		return appendFloat(b, math.Float64frombits(binary.LittleEndian.Uint64(raw)), 64)
	}},
	"BYTES": {},
}

func unsigned(bits int) datatype {
	return datatype{
		size: bits / 8,
		parse: func(buffer []byte, literal string) ([]byte, bool) {
			value, err := strconv.ParseUint(integral(literal), 10, bits)
			return appendInteger(buffer, value, bits), err == nil
		},
		format: func(buffer, raw []byte) []byte { return strconv.AppendUint(buffer, readInteger(raw, bits), 10) },
	}
}

func signed(bits int) datatype {
	return datatype{
		size: bits / 8,
		parse: func(buffer []byte, literal string) ([]byte, bool) {
			value, err := strconv.ParseInt(integral(literal), 10, bits)
			return appendInteger(buffer, uint64(value), bits), err == nil
		},
		format: func(buffer, raw []byte) []byte {
			shift := 64 - bits
			return strconv.AppendInt(buffer, int64(readInteger(raw, bits)<<shift)>>shift, 10)
		},
	}
}

// integral turns a whole number in another notation, 3.0 or 1e3, into digits: clients that keep numbers as floats write
// integers so. Beyond 2^53 such a notation does not say which integer is meant, and is refused.
func integral(literal string) string {
	const exact = 1 << 53
	for i := range len(literal) {
		switch literal[i] {
		case '.', 'e', 'E':
			value, err := strconv.ParseFloat(literal, 64)
			if err != nil || value != math.Trunc(value) || math.Abs(value) > exact {
				return ""
			}
			return strconv.FormatFloat(value, 'f', 0, 64)
		}
	}
	return literal
}

func appendInteger(buffer []byte, value uint64, bits int) []byte {
	for range bits / 8 {
		buffer = append(buffer, byte(value))
		value >>= 8
	}
	return buffer
}

func readInteger(raw []byte, bits int) (value uint64) {
	for i := bits/8 - 1; i >= 0; i-- {
		value = value<<8 | uint64(raw[i])
	}
	return value
}

func parseBool(buffer []byte, literal string) ([]byte, bool) {
	switch literal {
	case "true", "1":
		return append(buffer, 1), true
	case "false", "0":
		return append(buffer, 0), true
	}
	return buffer, false
}

func formatBool(buffer, raw []byte) []byte { return strconv.AppendBool(buffer, raw[0] != 0) }

// parseNumber reads a JSON number, or one of the words for what JSON cannot say. A number too large for bits is refused.
func parseNumber(literal string, bits int) (float64, bool) {
	switch literal {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	case "":
		return 0, false
	}
	// strconv reads more than JSON has: hexadecimal, underscores, "inf".
	if c := literal[len(literal)-1]; c < '0' || c > '9' {
		return 0, false
	}
	value, err := strconv.ParseFloat(literal, bits)
	return value, err == nil
}

func parseFloat64(buffer []byte, literal string) ([]byte, bool) {
	value, ok := parseNumber(literal, 64)
	return binary.LittleEndian.AppendUint64(buffer, math.Float64bits(value)), ok
}

func parseFloat32(buffer []byte, literal string) ([]byte, bool) {
	value, ok := parseNumber(literal, 32)
	return binary.LittleEndian.AppendUint32(buffer, math.Float32bits(float32(value))), ok
}

func parseBFloat16(buffer []byte, literal string) ([]byte, bool) {
	value, ok := parseNumber(literal, 32)
	return binary.LittleEndian.AppendUint16(buffer, toBFloat16(float32(value))), ok
}

func parseFloat16(buffer []byte, literal string) ([]byte, bool) {
	value, ok := parseNumber(literal, 32)
	bits := toFloat16(float32(value))
	overflow := bits&0x7fff == 0x7c00 && !math.IsInf(value, 0)
	return binary.LittleEndian.AppendUint16(buffer, bits), ok && !overflow
}

// appendFloat writes the shortest digits that read back as the same number of that many bits.
func appendFloat(buffer []byte, value float64, bits int) []byte {
	switch {
	case math.IsNaN(value):
		return append(buffer, `"NaN"`...)
	case math.IsInf(value, 1):
		return append(buffer, `"Infinity"`...)
	case math.IsInf(value, -1):
		return append(buffer, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(value); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(buffer)
	buffer = strconv.AppendFloat(buffer, value, format, -1, bits)
	// A float stays a float to readers that tell 1 from 1.0.
	for _, c := range buffer[start:] {
		if c == '.' || c == 'e' {
			return buffer
		}
	}
	return append(buffer, '.', '0')
}
