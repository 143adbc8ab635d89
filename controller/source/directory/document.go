package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// document is one of a file's, separated by "---".
type document struct {
	text []byte
	// line of the file on which text starts, from 1.
	line int
}

// syntaxError says where a document stops being YAML or JSON.
type syntaxError struct {
	// line of the file, from 1.
	line    int
	message string
}

func (e *syntaxError) Error() string { return e.message }

// split cuts a file at its "---" lines, so that a malformed document does not take its neighbours with it. The separator
// belongs to the document that it opens, since YAML allows content on that line.
func split(data []byte) []document {
	var documents []document
	start, startLine, line := 0, 1, 1
	for at := 0; at < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if isSeparator(data[at:end]) && at > start {
			documents = append(documents, document{text: data[start:at], line: startLine})
			start, startLine = at, line
		}
		at = end
	}
	return append(documents, document{text: data[start:], line: startLine})
}

func isSeparator(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// value is one JSON value of a document.
type value struct {
	json []byte
	// line of the file on which it starts, from 1.
	line int
}

// values answers one for a YAML document, none for an empty one, and several where JSON texts follow each other.
func (d document) values() ([]value, error) {
	if looksLikeJSON(d.text) {
		return d.jsonValues()
	}
	converted, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, d.yamlError(err)
	}
	if string(converted) == "null" {
		return nil, nil
	}
	return []value{{json: converted, line: d.firstLine()}}, nil
}

// looksLikeJSON tells a JSON object from YAML, a flow mapping with bare keys included.
func looksLikeJSON(text []byte) bool {
	text, found := bytes.CutPrefix(bytes.TrimSpace(text), []byte("{"))
	text = bytes.TrimSpace(text)
	return found && len(text) > 0 && (text[0] == '"' || text[0] == '}')
}

// firstLine of the file on which the document has something other than space, comments and its separator.
func (d document) firstLine() int {
	lines := strings.Split(string(d.text), "\n")
	for line := range lines {
		if !isBlank(lines, line+1) && !isSeparator([]byte(strings.TrimRight(lines[line], " \t\r"))) {
			return d.line + line
		}
	}
	return d.line
}

func (d document) jsonValues() ([]value, error) {
	decoder := json.NewDecoder(bytes.NewReader(d.text))
	var values []value
	for {
		start := int(decoder.InputOffset())
		for start < len(d.text) && strings.ContainsRune(" \t\r\n", rune(d.text[start])) {
			start++
		}
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, d.jsonError(err)
		}
		values = append(values, value{json: raw, line: d.lineAt(start)})
	}
}

// lineAt is the line of the file that holds the document's byte at offset.
func (d document) lineAt(offset int) int {
	return d.line + bytes.Count(d.text[:offset], []byte("\n"))
}

func (d document) jsonError(err error) *syntaxError {
	offset := len(d.text)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = min(int(syntax.Offset), len(d.text))
	}
	return &syntaxError{
		line:    d.lineAt(offset),
		message: fmt.Sprintf("malformed JSON: %v", err),
	}
}

// yamlLine finds the line in a message of go-yaml: "yaml: line 4: did not find expected key", or, from the second stage,
// "yaml: unmarshal errors:\n  line 5: key \"name\" already set in map".
var yamlLine = regexp.MustCompile(`line (\d+): `)

func (d document) yamlError(err error) *syntaxError {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	message = strings.TrimSpace(strings.TrimPrefix(message, "unmarshal errors:"))
	line := 1
	if at := yamlLine.FindStringSubmatchIndex(message); at != nil {
		line, _ = strconv.Atoi(message[at[2]:at[3]])
		message = message[:at[0]] + message[at[1]:]
	}
	message, _, _ = strings.Cut(message, "\n")
	return &syntaxError{line: d.line + d.correctedLine(line, message) - 1, message: "malformed YAML: " + message}
}

// correctedLine undoes two habits of go-yaml: its parser counts lines from 0, and its scanner notices a key without a
// colon only on the next line that has something on it.
func (d document) correctedLine(line int, message string) int {
	lines := strings.Split(string(d.text), "\n")
	switch {
	case strings.HasPrefix(message, "did not find expected key"), strings.HasPrefix(message, "did not find expected '-'"):
		line++
	case strings.HasPrefix(message, "could not find expected ':'"):
		for line--; line > 1 && isBlank(lines, line); line-- {
		}
	}
	return max(1, min(line, len(lines)))
}

// isBlank: line, from 1, holds nothing but space and comment.
func isBlank(lines []string, line int) bool {
	if line > len(lines) {
		return true
	}
	text := strings.TrimSpace(lines[line-1])
	return text == "" || text[0] == '#'
}
