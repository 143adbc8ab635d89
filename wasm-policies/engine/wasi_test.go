package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// What WASI's functions answer to arguments that no library would pass. Addresses below 64 KiB are memory, of zeroes.
func TestWASI(t *testing.T) {
	const (
		success, badf, fault, inval = 0, 8, 21, 28
		nowhere                     = -64
	)
	tests := []struct {
		name   string
		params []byte
		args   []int32
		want   int
	}{
		{"args_sizes_get", []byte{i32, i32}, []int32{0, 4}, success},
		{"args_sizes_get", []byte{i32, i32}, []int32{nowhere, 4}, fault},
		{"environ_sizes_get", []byte{i32, i32}, []int32{4, nowhere}, fault},
		{"args_get", []byte{i32, i32}, []int32{nowhere, nowhere}, success},
		{"random_get", []byte{i32, i32}, []int32{3, 13}, success},
		{"random_get", []byte{i32, i32}, []int32{nowhere, 100}, fault},
		{"random_get", []byte{i32, i32}, []int32{65000, 1000}, fault},
		{"clock_res_get", []byte{i32, i32}, []int32{0, 8}, success},
		{"clock_res_get", []byte{i32, i32}, []int32{0, nowhere}, fault},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{1, 0, 3, 100}, success},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{0, 0, 0, 100}, badf},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{7, 0, 0, 100}, badf},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{1, 0, 1025, 100}, inval},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{1, 0, -1, 100}, inval},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{1, nowhere, 100, 100}, fault},
		{"fd_write", []byte{i32, i32, i32, i32}, []int32{1, 0, 1, nowhere}, fault},
		{"fd_read", []byte{i32, i32, i32, i32}, []int32{0, 0, 1, 0}, badf},
		{"fd_close", []byte{i32}, []int32{2}, badf},
		{"fd_prestat_get", []byte{i32, i32}, []int32{3, 0}, badf},
		{"fd_fdstat_get", []byte{i32, i32}, []int32{1, 100}, success},
		{"fd_fdstat_get", []byte{i32, i32}, []int32{0, 100}, badf},
		{"fd_fdstat_get", []byte{i32, i32}, []int32{2, 65530}, fault},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, 4096, 2, 100}, success},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, 10, 2, 100}, success},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, 4096, 0, 100}, inval},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, 4096, 65, 100}, inval},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, 4096, -1, 100}, inval},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{nowhere, 4096, 2, 100}, fault},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, nowhere, 2, 100}, fault},
		{"poll_oneoff", []byte{i32, i32, i32, i32}, []int32{0, 4096, 2, nowhere}, fault},
	}
	e := newEngine(t, engine.Config{})
	for _, test := range tests {
		t.Run(fmt.Sprint(test.name, test.args), func(t *testing.T) {
			// mesh_place returns -1000 - what the function answers.
			body := constant(-1000)
			for _, arg := range test.args {
				body = code(body, constant(arg))
			}
			m := policy(code(body, call(0), opI32Sub), 0).importing(imported{"wasi_snapshot_preview1", test.name, test.params, one})
			_, _, err := decide(t, compile(t, e, engine.Source{Module: m.wasm()}), placement(1), budget)
			if trap := trapOf(t, err, engine.ErrorCode); !strings.Contains(trap.Message, fmt.Sprintf("returned %d ", -1000-test.want)) {
				t.Errorf("%v, want -1000 - %d", trap, test.want)
			}
		})
	}
}
