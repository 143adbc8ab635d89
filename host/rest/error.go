package rest

import (
	"encoding/json"
	"fmt"
)

// Error is a request that cannot be translated; the caller's fault, HTTP 400.
type Error struct {
	// Message names the tensor and says what was wanted and what came.
	Message string
}

func (e *Error) Error() string { return e.Message }

func errorf(format string, args ...any) *Error { return &Error{Message: fmt.Sprintf(format, args...)} }

// EncodeError is the protocol's error body.
func EncodeError(message string) []byte {
	body, err := json.Marshal(struct {
		Error string `json:"error"`
	}{message})
	if err != nil {
		return []byte(`{"error":"unprintable error"}`)
	}
	return body
}
