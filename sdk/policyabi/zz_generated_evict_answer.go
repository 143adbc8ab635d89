// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

import (
	"encoding/binary"
)

// EvictAnswer: What one copy is worth. Each row has exactly one answer.
type EvictAnswer struct {
	Row    uint32 // index of the copy's row
	Keep   int32  // higher is kept longer; the lowest goes first
	Reason Reason
}

func (s *EvictAnswer) encode(b []byte) {
	b = b[:16:16]
	binary.LittleEndian.PutUint32(b[0:4], s.Row)
	binary.LittleEndian.PutUint32(b[4:8], uint32(s.Keep))
	binary.LittleEndian.PutUint16(b[8:10], uint16(s.Reason))
	binary.LittleEndian.PutUint16(b[10:12], 0)
	binary.LittleEndian.PutUint32(b[12:16], 0)
}

func decodeEvictAnswer(b []byte) EvictAnswer {
	r := record{b: b}
	return EvictAnswer{
		Row:    r.u32(0),
		Keep:   int32(r.u32(4)),
		Reason: Reason(r.u16(8)),
	}
}

// EvictAnswers writes the answer in place. Nothing written means that the policy abstains.
type EvictAnswers struct {
	response []byte
	n        int
}

// Add answers about a row. There is room for as many answers as rows; those beyond are dropped.
func (a *EvictAnswers) Add(row int, keep int32, reason Reason) {
	if a.n+16 > len(a.response) {
		return
	}
	answer := EvictAnswer{uint32(row), keep, reason}
	answer.encode(a.response[a.n:])
	a.n += 16
}

// Len is the number of bytes written.
func (a *EvictAnswers) Len() int { return a.n }

// Bytes that were written, in place.
func (a *EvictAnswers) Bytes() []byte { return a.response[:a.n] }

// DecodeEvictAnswers reads and checks the answer to a request with that many rows. Errors wrap ErrAnswer.
func DecodeEvictAnswers(response []byte, rows int) ([]EvictAnswer, error) {
	return AppendEvictAnswers(nil, response, rows)
}

// AppendEvictAnswers is DecodeEvictAnswers into a slice of the caller's.
func AppendEvictAnswers(dst []EvictAnswer, response []byte, rows int) ([]EvictAnswer, error) {
	if err := distinct(response, 16, rows, true); err != nil {
		return dst, err
	}
	for ; len(response) >= 16; response = response[16:] {
		dst = append(dst, decodeEvictAnswer(response[:16]))
	}
	return dst, nil
}
