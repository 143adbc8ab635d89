// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

import (
	"encoding/binary"
)

// PlaceAnswer: One host that the policy would load on. Best first; a host that is not named is not wanted.
type PlaceAnswer struct {
	Row    uint32 // index of the host's row
	Score  int32  // for people; ranking is by order
	Reason Reason
}

func (s *PlaceAnswer) encode(b []byte) {
	b = b[:16:16]
	binary.LittleEndian.PutUint32(b[0:4], s.Row)
	binary.LittleEndian.PutUint32(b[4:8], uint32(s.Score))
	binary.LittleEndian.PutUint16(b[8:10], uint16(s.Reason))
	binary.LittleEndian.PutUint16(b[10:12], 0)
	binary.LittleEndian.PutUint32(b[12:16], 0)
}

func decodePlaceAnswer(b []byte) PlaceAnswer {
	r := record{b: b}
	return PlaceAnswer{
		Row:    r.u32(0),
		Score:  int32(r.u32(4)),
		Reason: Reason(r.u16(8)),
	}
}

// PlaceAnswers writes the answer in place. Nothing written means that the policy abstains.
type PlaceAnswers struct {
	response []byte
	n        int
}

// Add answers about a row. There is room for as many answers as rows; those beyond are dropped.
func (a *PlaceAnswers) Add(row int, score int32, reason Reason) {
	if a.n+16 > len(a.response) {
		return
	}
	answer := PlaceAnswer{uint32(row), score, reason}
	answer.encode(a.response[a.n:])
	a.n += 16
}

// Len is the number of bytes written.
func (a *PlaceAnswers) Len() int { return a.n }

// Bytes that were written, in place.
func (a *PlaceAnswers) Bytes() []byte { return a.response[:a.n] }

// DecodePlaceAnswers reads and checks the answer to a request with that many rows. Errors wrap ErrAnswer.
func DecodePlaceAnswers(response []byte, rows int) ([]PlaceAnswer, error) {
	return AppendPlaceAnswers(nil, response, rows)
}

// AppendPlaceAnswers is DecodePlaceAnswers into a slice of the caller's.
func AppendPlaceAnswers(dst []PlaceAnswer, response []byte, rows int) ([]PlaceAnswer, error) {
	if err := distinct(response, 16, rows, false); err != nil {
		return dst, err
	}
	for ; len(response) >= 16; response = response[16:] {
		dst = append(dst, decodePlaceAnswer(response[:16]))
	}
	return dst, nil
}
