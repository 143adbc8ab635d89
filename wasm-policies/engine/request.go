package engine

import (
	"fmt"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// request is what the engine needs of a request's header. It is read before a call, as the guest can change the header.
type request struct {
	nowMs              int64
	seed               uint64
	response, capacity uint32
	rows               uint32
}

// readRequest checks that the area for the response is within the request. Everything else in it is the guest's concern.
func readRequest(b []byte) (request, error) {
	h, err := policyabi.ViewHeader(b)
	if err != nil {
		return request{}, err
	}
	r := request{nowMs: h.NowMs(), seed: h.Seed(), response: h.ResponseOff(), capacity: h.ResponseCap(), rows: h.RowCount()}
	if total := h.TotalLen(); uint64(total) != uint64(len(b)) {
		return request{}, fmt.Errorf("request of %d bytes says that it has %d", len(b), total)
	}
	if end := uint64(r.response) + uint64(r.capacity); end > uint64(len(b)) {
		return request{}, fmt.Errorf("request of %d bytes has its response area end at %d", len(b), end)
	}
	return r, nil
}
