// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

import (
	"encoding/binary"
	"fmt"
)

// PlaceContext: The model that is to be loaded.
type PlaceContext struct {
	Name       string // model id
	ModelKey   uint64 // of the model
	NeedMemory int64  // expected in the runtime's memory, bytes
	NeedDevice int64  // on its device, bytes
	NeedSlots  int64  // slots
	LastUsedMs int64  // a request last came, before the one that waits, ms since 1970
	Rate       uint64 // decayed over hours, requests per 1e6 s
	RateRecent uint64 // decayed over minutes, requests per 1e6 s
	LoadMs     uint32 // a load takes, as measured, ms
	Priority   int32  // of its owner; higher is kept longer
	Purpose    Purpose
	Flags      ModelFlag
	Zone       uint16 // of the host that asks; zones are numbered from 1 in each request
	Copies     uint16 // there are, loading ones included
}

// encode writes the struct; name is the offset of its name in the strings.
func (s *PlaceContext) encode(b []byte, name int) {
	b = b[:80:80]
	binary.LittleEndian.PutUint64(b[0:8], s.ModelKey)
	binary.LittleEndian.PutUint64(b[8:16], uint64(s.NeedMemory))
	binary.LittleEndian.PutUint64(b[16:24], uint64(s.NeedDevice))
	binary.LittleEndian.PutUint64(b[24:32], uint64(s.NeedSlots))
	binary.LittleEndian.PutUint64(b[32:40], uint64(s.LastUsedMs))
	binary.LittleEndian.PutUint64(b[40:48], s.Rate)
	binary.LittleEndian.PutUint64(b[48:56], s.RateRecent)
	binary.LittleEndian.PutUint32(b[56:60], s.LoadMs)
	binary.LittleEndian.PutUint32(b[60:64], uint32(s.Priority))
	binary.LittleEndian.PutUint16(b[64:66], uint16(s.Purpose))
	binary.LittleEndian.PutUint16(b[66:68], uint16(s.Flags))
	binary.LittleEndian.PutUint16(b[68:70], s.Zone)
	binary.LittleEndian.PutUint16(b[70:72], s.Copies)
	binary.LittleEndian.PutUint32(b[72:76], uint32(name))
	binary.LittleEndian.PutUint32(b[76:80], uint32(len(s.Name)))
}

// PlaceRow: One host.
type PlaceRow struct {
	Name           string // host id
	HostKey        uint64 // of the host's id, the same in every request
	Flags          HostFlag
	Zone           uint16 // 0 when it has none
	ZoneCopies     uint16 // copies of the model in its zone
	FreeMemory     int64  // of the runtime's memory, bytes
	FreeDevice     int64  // bytes
	FreeSlots      int64
	CapacityMemory int64 // bytes
	CapacityDevice int64 // bytes
	CapacitySlots  int64
	Reclaim16th    int64 // lost to free 1/16 of the capacity: the lowest keep-values of its evict policy, each at least 0, weighed by the memory that goes with them and added up, keep-value x MiB
	Reclaim8th     int64 // lost to free 1/8, keep-value x MiB
	Reclaim4th     int64 // lost to free 1/4, keep-value x MiB
	ReclaimHalf    int64 // lost to free 1/2, keep-value x MiB
	OldestMs       int64 // last use of its least recently used copy, ms since 1970
	StartedMs      int64 // start of the host, ms since 1970
	LoadsQueued    uint32
	LoadsRunning   uint32
	InFlight       uint32 // requests
	Copies         uint32 // of all models
	Rate           uint64 // all requests that it serves, requests per 1e6 s
}

// encode writes the struct; name is the offset of its name in the strings.
func (s *PlaceRow) encode(b []byte, name int) {
	b = b[:144:144]
	binary.LittleEndian.PutUint64(b[0:8], s.HostKey)
	binary.LittleEndian.PutUint32(b[8:12], uint32(s.Flags))
	binary.LittleEndian.PutUint16(b[12:14], s.Zone)
	binary.LittleEndian.PutUint16(b[14:16], s.ZoneCopies)
	binary.LittleEndian.PutUint64(b[16:24], uint64(s.FreeMemory))
	binary.LittleEndian.PutUint64(b[24:32], uint64(s.FreeDevice))
	binary.LittleEndian.PutUint64(b[32:40], uint64(s.FreeSlots))
	binary.LittleEndian.PutUint64(b[40:48], uint64(s.CapacityMemory))
	binary.LittleEndian.PutUint64(b[48:56], uint64(s.CapacityDevice))
	binary.LittleEndian.PutUint64(b[56:64], uint64(s.CapacitySlots))
	binary.LittleEndian.PutUint64(b[64:72], uint64(s.Reclaim16th))
	binary.LittleEndian.PutUint64(b[72:80], uint64(s.Reclaim8th))
	binary.LittleEndian.PutUint64(b[80:88], uint64(s.Reclaim4th))
	binary.LittleEndian.PutUint64(b[88:96], uint64(s.ReclaimHalf))
	binary.LittleEndian.PutUint64(b[96:104], uint64(s.OldestMs))
	binary.LittleEndian.PutUint64(b[104:112], uint64(s.StartedMs))
	binary.LittleEndian.PutUint32(b[112:116], s.LoadsQueued)
	binary.LittleEndian.PutUint32(b[116:120], s.LoadsRunning)
	binary.LittleEndian.PutUint32(b[120:124], s.InFlight)
	binary.LittleEndian.PutUint32(b[124:128], s.Copies)
	binary.LittleEndian.PutUint64(b[128:136], s.Rate)
	binary.LittleEndian.PutUint32(b[136:140], uint32(name))
	binary.LittleEndian.PutUint32(b[140:144], uint32(len(s.Name)))
}

// PlaceRequest is what hook place is asked.
type PlaceRequest struct {
	Header  Header
	Context PlaceContext
	Rows    []PlaceRow
}

// parts of the encoded request; stringsEnd is where its names end.
func (r *PlaceRequest) parts(stringsEnd int) parts {
	p := parts{hook: HookPlace, contextSize: 80, rowSize: 144, rows: len(r.Rows), stringsEnd: stringsEnd}
	p.strings = 80 + 80 + 144*len(r.Rows)
	p.response = (stringsEnd + 7) &^ 7
	p.responseEnd = p.response + 16*len(r.Rows)
	return p
}

// Size in bytes of the encoded request, with the room for its answer.
func (r *PlaceRequest) Size() int {
	names := len(r.Context.Name)
	for i := range r.Rows {
		names += len(r.Rows[i].Name)
	}
	return r.parts(80 + 80 + 144*len(r.Rows) + names).responseEnd
}

// Encode fills buf, which must have Size bytes.
func (r *PlaceRequest) Encode(buf []byte) {
	rows := buf[80+80:]
	strings := buf[80+80+144*len(r.Rows):]
	r.Context.encode(buf[80:], 0)
	name := copy(strings, r.Context.Name)
	for i := range r.Rows {
		row := &r.Rows[i]
		row.encode(rows[i*144:], name)
		name += copy(strings[name:], row.Name)
	}
	clear(strings[name:])
	r.Header.encode(buf, r.parts(len(buf)-len(strings)+name))
}

// DecodePlaceRequest reads a request of any minor version for people and for replay. Errors wrap ErrRequest.
func DecodePlaceRequest(b []byte) (*PlaceRequest, error) {
	v, err := ViewPlace(b)
	if err != nil {
		return nil, err
	}
	if !v.v.context.inside(72) {
		return nil, fmt.Errorf("%w: the name in the context is not within the strings", ErrRequest)
	}
	request := &PlaceRequest{Header: v.Header().decode(), Context: v.Context().decode()}
	names := len(request.Context.Name)
	if v.Len() > 0 {
		request.Rows = make([]PlaceRow, v.Len())
	}
	for i := range request.Rows {
		row := v.Row(i)
		if !row.r.inside(136) {
			return nil, fmt.Errorf("%w: the name in row %d is not within the strings", ErrRequest, i)
		}
		request.Rows[i] = row.decode()
		if names += len(request.Rows[i].Name); names > MaxRequestBytes {
			return nil, fmt.Errorf("%w: its names overlap", ErrRequest)
		}
	}
	return request, nil
}
