// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policytest

import (
	"encoding/binary"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/evict"
)

// EvictContext: What memory is wanted for.
type EvictContext struct {
	Name           string // id of the model that is to come
	ModelKey       uint64 // of the model that is to come; 0 for none
	NeedMemory     int64  // it is expected to take, bytes
	NeedDevice     int64  // bytes
	NeedSlots      int64
	FreeMemory     int64 // bytes
	FreeDevice     int64 // bytes
	FreeSlots      int64
	CapacityMemory int64 // bytes
	CapacityDevice int64 // bytes
	CapacitySlots  int64
	Purpose        policy.Purpose
	Flags          policy.ModelFlag
	Priority       int32 // of the model that is to come
}

// encode writes the struct; name is the offset of its name in the strings.
func (s *EvictContext) encode(b []byte, name int) {
	b = b[:96:96]
	binary.LittleEndian.PutUint64(b[0:8], s.ModelKey)
	binary.LittleEndian.PutUint64(b[8:16], uint64(s.NeedMemory))
	binary.LittleEndian.PutUint64(b[16:24], uint64(s.NeedDevice))
	binary.LittleEndian.PutUint64(b[24:32], uint64(s.NeedSlots))
	binary.LittleEndian.PutUint64(b[32:40], uint64(s.FreeMemory))
	binary.LittleEndian.PutUint64(b[40:48], uint64(s.FreeDevice))
	binary.LittleEndian.PutUint64(b[48:56], uint64(s.FreeSlots))
	binary.LittleEndian.PutUint64(b[56:64], uint64(s.CapacityMemory))
	binary.LittleEndian.PutUint64(b[64:72], uint64(s.CapacityDevice))
	binary.LittleEndian.PutUint64(b[72:80], uint64(s.CapacitySlots))
	binary.LittleEndian.PutUint16(b[80:82], uint16(s.Purpose))
	binary.LittleEndian.PutUint16(b[82:84], uint16(s.Flags))
	binary.LittleEndian.PutUint32(b[84:88], uint32(s.Priority))
	binary.LittleEndian.PutUint32(b[88:92], uint32(name))
	binary.LittleEndian.PutUint32(b[92:96], uint32(len(s.Name)))
}

// EvictRow: One copy on this host.
type EvictRow struct {
	Name            string // model id
	CopyID          uint64 // of this load of the model
	ModelKey        uint64
	SizeMemory      int64 // it takes, bytes
	SizeDevice      int64 // bytes
	SizeSlots       int64
	LastUsedMs      int64  // a request last came, ms since 1970
	LoadedAtMs      int64  // its load ended, ms since 1970
	Rate            uint64 // of the model on this host, decayed over hours; survives eviction, requests per 1e6 s
	RateRecent      uint64 // decayed over minutes, requests per 1e6 s
	Uses            uint64 // requests since its load
	Inflation       int64  // sum of the keep-values of what was evicted since its last use, each the largest of one eviction, tiers of priority aside: the clock of Greedy-Dual policies, keep-value
	LoadMs          uint32 // its load took, ms
	InFlight        uint32 // requests now
	Priority        int32  // of its owner; higher is kept longer
	Flags           policy.CopyFlag
	CopiesElsewhere uint16 // of the model on other hosts
}

// encode writes the struct; name is the offset of its name in the strings.
func (s *EvictRow) encode(b []byte, name int) {
	b = b[:112:112]
	binary.LittleEndian.PutUint64(b[0:8], s.CopyID)
	binary.LittleEndian.PutUint64(b[8:16], s.ModelKey)
	binary.LittleEndian.PutUint64(b[16:24], uint64(s.SizeMemory))
	binary.LittleEndian.PutUint64(b[24:32], uint64(s.SizeDevice))
	binary.LittleEndian.PutUint64(b[32:40], uint64(s.SizeSlots))
	binary.LittleEndian.PutUint64(b[40:48], uint64(s.LastUsedMs))
	binary.LittleEndian.PutUint64(b[48:56], uint64(s.LoadedAtMs))
	binary.LittleEndian.PutUint64(b[56:64], s.Rate)
	binary.LittleEndian.PutUint64(b[64:72], s.RateRecent)
	binary.LittleEndian.PutUint64(b[72:80], s.Uses)
	binary.LittleEndian.PutUint64(b[80:88], uint64(s.Inflation))
	binary.LittleEndian.PutUint32(b[88:92], s.LoadMs)
	binary.LittleEndian.PutUint32(b[92:96], s.InFlight)
	binary.LittleEndian.PutUint32(b[96:100], uint32(s.Priority))
	binary.LittleEndian.PutUint16(b[100:102], uint16(s.Flags))
	binary.LittleEndian.PutUint16(b[102:104], s.CopiesElsewhere)
	binary.LittleEndian.PutUint32(b[104:108], uint32(name))
	binary.LittleEndian.PutUint32(b[108:112], uint32(len(s.Name)))
}

// EvictRequest is what hook evict is asked.
type EvictRequest struct {
	Header  Header
	Context EvictContext
	Rows    []EvictRow
}

// parts of the encoded request; stringsEnd is where its names end.
func (r *EvictRequest) parts(stringsEnd int) parts {
	p := parts{hook: policy.HookEvict, contextSize: 96, rowSize: 112, rows: len(r.Rows), stringsEnd: stringsEnd}
	p.strings = 80 + 96 + 112*len(r.Rows)
	p.response = (stringsEnd + 7) &^ 7
	p.responseEnd = p.response + 16*len(r.Rows)
	return p
}

// Size in bytes of the encoded request, with the room for its answer.
func (r *EvictRequest) Size() int {
	names := len(r.Context.Name)
	for i := range r.Rows {
		names += len(r.Rows[i].Name)
	}
	return r.parts(80 + 96 + 112*len(r.Rows) + names).responseEnd
}

// Encode fills buf, which must have Size bytes.
func (r *EvictRequest) Encode(buf []byte) {
	rows := buf[80+96:]
	strings := buf[80+96+112*len(r.Rows):]
	r.Context.encode(buf[80:], 0)
	name := copy(strings, r.Context.Name)
	for i := range r.Rows {
		row := &r.Rows[i]
		row.encode(rows[i*112:], name)
		name += copy(strings[name:], row.Name)
	}
	clear(strings[name:])
	r.Header.encode(buf, r.parts(len(buf)-len(strings)+name))
}

// Evict calls the function as a host would, and checks the answer like a host. No answers means that it abstained.
func Evict(decide func(evict.Request, *evict.Answers), r *EvictRequest) ([]evict.Answer, error) {
	b := aligned(r.Size())
	r.Encode(b)
	request, room, err := evict.Open(b)
	if err != nil {
		return nil, err
	}
	decide(request, &room)
	response := room.Bytes()
	var answers []evict.Answer
	for ; len(response) >= 16; response = response[16:] {
		answers = append(answers, evict.Answer{
			Row:    uint32(binary.LittleEndian.Uint32(response[0:])),
			Keep:   int32(binary.LittleEndian.Uint32(response[4:])),
			Reason: policy.Reason(binary.LittleEndian.Uint16(response[8:])),
		})
	}
	rows := make([]uint32, len(answers))
	for i, answer := range answers {
		rows[i] = answer.Row
	}
	return answers, check(rows, len(r.Rows), true)
}
