package rest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// tensorDecoder reads the data of one tensor: a flat array in row-major order, or arrays nested as the shape says.
// The JSON has been checked before, so the scanner looks only at structure.
type tensorDecoder struct {
	kind     datatype
	datatype string
	base64   bool
	raw      []byte
	count    int
}

func (d *tensorDecoder) decode(data []byte, shape []int64) error {
	s := &scanner{data: data}
	if s.peek() != '[' {
		return fmt.Errorf("data is not an array")
	}
	if s.nestedArray() && len(shape) > 1 {
		return d.nested(s, shape, 0)
	}
	return d.flat(s)
}

// nested reads one array whose elements are arrays of the dimensions that follow.
func (d *tensorDecoder) nested(s *scanner, shape []int64, depth int) error {
	s.next()
	length := int64(0)
	for s.peek() != ']' {
		if s.peek() == ',' {
			s.next()
		}
		length++
		if depth == len(shape)-1 {
			if err := d.element(s.value()); err != nil {
				return err
			}
			continue
		}
		if s.peek() != '[' {
			return fmt.Errorf("data is nested %d deep in one place, but shape %v has %d dimensions", depth+1, shape, len(shape))
		}
		if err := d.nested(s, shape, depth+1); err != nil {
			return err
		}
	}
	s.next()
	if length != shape[depth] {
		return fmt.Errorf("an array at depth %d has %d elements, but shape %v wants %d", depth+1, length, shape, shape[depth])
	}
	return nil
}

func (d *tensorDecoder) flat(s *scanner) error {
	s.next()
	for s.peek() != ']' {
		if s.peek() == ',' {
			s.next()
		}
		if err := d.element(s.value()); err != nil {
			return err
		}
	}
	return nil
}

func (d *tensorDecoder) element(literal []byte) error {
	d.count++
	quoted := literal[0] == '"'
	if d.kind.parse == nil {
		if !quoted {
			return d.mismatch(literal)
		}
		return d.text(literal)
	}
	text := string(literal)
	if quoted {
		switch text {
		case `"NaN"`, `"Infinity"`, `"-Infinity"`:
			text = text[1 : len(text)-1]
		default:
			return d.mismatch(literal)
		}
	}
	raw, ok := d.kind.parse(d.raw, text)
	if !ok {
		return d.mismatch(literal)
	}
	d.raw = raw
	return nil
}

func (d *tensorDecoder) text(literal []byte) error {
	var text string
	if err := json.Unmarshal(literal, &text); err != nil {
		return d.mismatch(literal)
	}
	content := []byte(text)
	if d.base64 {
		var err error
		if content, err = base64.StdEncoding.DecodeString(text); err != nil {
			return fmt.Errorf("element %d is not base64, which its content_type says: %s", d.count-1, err)
		}
	}
	d.raw = binary.LittleEndian.AppendUint32(d.raw, uint32(len(content)))
	d.raw = append(d.raw, content...)
	return nil
}

func (d *tensorDecoder) mismatch(literal []byte) error {
	const enough = 40
	if len(literal) > enough {
		literal = append(literal[:enough:enough], "..."...)
	}
	return fmt.Errorf("element %d is %s, which is no %s", d.count-1, literal, d.datatype)
}

// scanner walks over JSON that is known to be valid.
type scanner struct {
	data []byte
	at   int
}

// peek answers the next byte that is not space.
func (s *scanner) peek() byte {
	for {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
}

func (s *scanner) next() { s.at++ }

// nestedArray reports whether the array that starts here begins with an array.
func (s *scanner) nestedArray() bool {
	ahead := &scanner{data: s.data, at: s.at + 1}
	return ahead.peek() == '['
}

// value answers the literal, string, array or object that starts here, and moves past it.
func (s *scanner) value() []byte {
	s.peek()
	start, depth := s.at, 0
	for {
		switch c := s.data[s.at]; c {
		case '"':
			s.skipString()
			if depth == 0 {
				return s.data[start:s.at]
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return s.data[start:s.at]
			}
			if depth--; depth == 0 {
				s.at++
				return s.data[start:s.at]
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.data[start:s.at]
			}
		}
		s.at++
	}
}

func (s *scanner) skipString() {
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

// formatText appends one BYTES element as a JSON string.
func formatText(buffer, content []byte, asBase64 bool) ([]byte, error) {
	if asBase64 {
		buffer = append(buffer, '"')
		buffer = base64.StdEncoding.AppendEncode(buffer, content)
		return append(buffer, '"'), nil
	}
	quoted, err := json.Marshal(string(content))
	return append(buffer, quoted...), err
}

func allText(elements [][]byte) bool {
	for _, element := range elements {
		if !utf8.Valid(element) {
			return false
		}
	}
	return true
}
