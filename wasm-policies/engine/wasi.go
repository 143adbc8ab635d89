package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// wasiModule is WASI preview 1, which the runtimes of Go, TinyGo and Rust need to start. Names, parameters and layouts of
// this file: https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md. There are no arguments, no environment,
// no files; a clock and randomness that the request determines; output goes to the log.
const wasiModule = "wasi_snapshot_preview1"

// Error numbers of WASI.
const (
	errnoSuccess = 0
	errnoBadf    = 8
	errnoFault   = 21
	errnoInval   = 28
)

const (
	fdStdout, fdStderr = 1, 2
	// maxVectors and maxSubscriptions that one call may name; more is invalid.
	maxVectors, maxSubscriptions = 1024, 64

	sizeofVector       = 8
	sizeofSubscription = 48
	sizeofEvent        = 32
)

// wasiCall is a function that returns an error number.
type wasiCall func(g *guest, m api.Module, p []uint64) uint64

func wasiFunctions() map[string]hostFunction {
	f := func(call wasiCall, params ...api.ValueType) hostFunction {
		return hostFunction{func(g *guest, m api.Module, stack []uint64) { stack[0] = call(g, m, stack) }, params, []api.ValueType{i32}}
	}
	return map[string]hostFunction{
		"args_get":            f(wasiNothing, i32, i32),
		"args_sizes_get":      f(wasiNoSizes, i32, i32),
		"environ_get":         f(wasiNothing, i32, i32),
		"environ_sizes_get":   f(wasiNoSizes, i32, i32),
		"clock_res_get":       f(wasiClockResolution, i32, i32),
		"clock_time_get":      f(wasiClock, i32, i64, i32),
		"random_get":          f(wasiRandom, i32, i32),
		"poll_oneoff":         f(wasiPoll, i32, i32, i32, i32),
		"sched_yield":         {func(_ *guest, _ api.Module, stack []uint64) { stack[0] = errnoSuccess }, nil, []api.ValueType{i32}},
		"proc_exit":           {wasiExit, []api.ValueType{i32}, nil},
		"fd_write":            f(wasiWrite, i32, i32, i32, i32),
		"fd_read":             f(wasiNoFile, i32, i32, i32, i32),
		"fd_seek":             f(wasiNoFile, i32, i64, i32, i32),
		"fd_close":            f(wasiNoFile, i32),
		"fd_fdstat_get":       f(wasiFileStatus, i32, i32),
		"fd_fdstat_set_flags": f(wasiNoFile, i32, i32),
		"fd_prestat_get":      f(wasiNoFile, i32, i32),
		"fd_prestat_dir_name": f(wasiNoFile, i32, i32, i32),
	}
}

func wasiNothing(*guest, api.Module, []uint64) uint64 { return errnoSuccess }

func wasiNoFile(*guest, api.Module, []uint64) uint64 { return errnoBadf }

// wasiNoSizes says that there are 0 strings of 0 bytes together.
func wasiNoSizes(_ *guest, m api.Module, p []uint64) uint64 {
	if !m.Memory().WriteUint32Le(uint32(p[0]), 0) || !m.Memory().WriteUint32Le(uint32(p[1]), 0) {
		return errnoFault
	}
	return errnoSuccess
}

func wasiClockResolution(_ *guest, m api.Module, p []uint64) uint64 { return store(m, p[1], 1000) }

// wasiClock shows all clocks the same time.
func wasiClock(g *guest, m api.Module, p []uint64) uint64 { return store(m, p[2], uint64(g.clock())) }

func store(m api.Module, address, value uint64) uint64 {
	if !m.Memory().WriteUint64Le(uint32(address), value) {
		return errnoFault
	}
	return errnoSuccess
}

func wasiRandom(g *guest, m api.Module, p []uint64) uint64 {
	g.charge(m, uint64(uint32(p[1])))
	b, ok := m.Memory().Read(uint32(p[0]), uint32(p[1]))
	if !ok {
		return errnoFault
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, g.next())
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], g.next())
		copy(b, last[:])
	}
	return errnoSuccess
}

// wasiExit ends the call: a policy is a library, and nothing is left to exit to.
func wasiExit(_ *guest, _ api.Module, stack []uint64) {
	panic(fmt.Errorf("the policy exited with code %d", uint32(stack[0])))
}

// wasiWrite is fd_write(fd, vectors, count, written): everything counts as written, whether it is logged or not.
func wasiWrite(g *guest, m api.Module, p []uint64) uint64 {
	fd, vectors, count := uint32(p[0]), uint32(p[1]), uint32(p[2])
	if fd != fdStdout && fd != fdStderr {
		return errnoBadf
	}
	if count > maxVectors {
		return errnoInval
	}
	list, ok := m.Memory().Read(vectors, count*sizeofVector)
	if !ok {
		return errnoFault
	}
	g.charge(m, uint64(len(list)))
	written := uint32(0)
	for ; len(list) > 0; list = list[sizeofVector:] {
		address, length := binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:])
		// The rest would not be logged anyway, and need not be looked at.
		text, ok := m.Memory().Read(address, min(length, uint32(g.program.engine.limits.LogBytes)))
		if !ok {
			return errnoFault
		}
		g.charge(m, uint64(len(text)))
		g.write(text, fd == fdStderr)
		written += length
	}
	if !m.Memory().WriteUint32Le(uint32(p[3]), written) {
		return errnoFault
	}
	return errnoSuccess
}

// wasiFileStatus describes standard output and error as character devices that can be written to.
func wasiFileStatus(_ *guest, m api.Module, p []uint64) uint64 {
	const sizeofFdstat, characterDevice, rightWrite = 24, 2, 1 << 6
	if fd := uint32(p[0]); fd != fdStdout && fd != fdStderr {
		return errnoBadf
	}
	b, ok := m.Memory().Read(uint32(p[1]), sizeofFdstat)
	if !ok {
		return errnoFault
	}
	clear(b)
	b[0] = characterDevice
	binary.LittleEndian.PutUint64(b[8:], rightWrite)
	return errnoSuccess
}

// wasiPoll is poll_oneoff(subscriptions, events, count, happened). All clocks ring at once, with the time moved on to
// that: a guest that sleeps gets on without anybody waiting. Files are never ready.
func wasiPoll(g *guest, m api.Module, p []uint64) uint64 {
	const tagClock, flagAbsolute = 0, 1
	count := uint32(p[2])
	if count == 0 || count > maxSubscriptions {
		return errnoInval
	}
	g.charge(m, uint64(count)*sizeofSubscription)
	in, okIn := m.Memory().Read(uint32(p[0]), count*sizeofSubscription)
	out, okOut := m.Memory().Read(uint32(p[1]), count*sizeofEvent)
	if !okIn || !okOut {
		return errnoFault
	}
	until := g.nowNs
	for n := range int(count) {
		// A copy, as the two areas may overlap.
		var subscription [sizeofSubscription]byte
		copy(subscription[:], in[n*sizeofSubscription:])
		event := out[n*sizeofEvent:][:sizeofEvent]
		clear(event)
		copy(event, subscription[:8])
		event[10] = subscription[8]
		if subscription[8] != tagClock {
			binary.LittleEndian.PutUint16(event[8:], errnoBadf)
			continue
		}
		ring := int64(binary.LittleEndian.Uint64(subscription[24:]))
		if binary.LittleEndian.Uint16(subscription[40:])&flagAbsolute == 0 {
			ring += g.nowNs
		}
		until = max(until, ring)
	}
	g.nowNs = until
	if !m.Memory().WriteUint32Le(uint32(p[3]), count) {
		return errnoFault
	}
	return errnoSuccess
}
