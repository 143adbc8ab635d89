// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

// Version of the ABI, and the first four bytes of every request.
const (
	Major = 1
	Minor = 0
	Magic = 0x3152504d
)

// Names of what a module exports.
const (
	ExportMemory     = "memory"         // memory: at most one, with a maximum or without
	ExportInitialize = "_initialize"    // (): called once, before anything else
	ExportABI        = "mesh_abi"       // () -> i32: major << 16 | minor of the ABI that the module was built for
	ExportBuffer     = "mesh_buf"       // (size i32) -> i32: address of at least size bytes, a multiple of 16, which stays valid until the next mesh_buf; 0 refuses
	ExportConfigure  = "mesh_configure" // (len i32) -> i32: the configuration is at the address that mesh_buf returned; 0 accepts it, anything else refuses the module. It is called once, with len 0 when there is none, before the first decision
	ExportPlace      = "mesh_place"     // (len i32) -> i32: decides on the request at the address that mesh_buf returned. Above 0: bytes of answer, which begin at response_off; 0: abstains, and the built-in policy decides; below 0: the negative of a CallError
	ExportEvict      = "mesh_evict"     // (len i32) -> i32: as mesh_place
	ExportStatus     = "mesh_status"    // (len i32) -> i32: as mesh_place
)

// Names of what the host offers to a module.
const (
	ImportLogModule = "mesh_v1"
	ImportLog       = "log" // (level i32, ptr i32, len i32): a line for people, level is a LogLevel. What a module may log in one call is bounded, and the rest is dropped
)

// Export is the name of the function that answers the hook, "" for a hook that modules cannot have.
func (h Hook) Export() string {
	switch h {
	case HookPlace:
		return ExportPlace
	case HookEvict:
		return ExportEvict
	case HookStatus:
		return ExportStatus
	}
	return ""
}

// Sizes of structs in bytes, as this version knows them.
const (
	sizeHeader        = 80
	sizePlaceContext  = 80
	sizePlaceRow      = 144
	sizeEvictContext  = 96
	sizeEvictRow      = 112
	sizeStatusContext = 24
	sizeStatusRow     = 64
	sizePlaceAnswer   = 16
	sizeEvictAnswer   = 16
	sizeStatusAnswer  = 16
)

// Offsets in the header, its size as this version knows it, and the least that every version writes.
const (
	headerSize  = 80
	headerLeast = 80

	offHeaderMagic       = 0
	offHeaderAbiMajor    = 4
	offHeaderAbiMinor    = 6
	offHeaderHeaderSize  = 8
	offHeaderTotalLen    = 12
	offHeaderHook        = 16
	offHeaderFlags       = 18
	offHeaderRowCount    = 20
	offHeaderDecisionID  = 24
	offHeaderNowMs       = 32
	offHeaderSeed        = 40
	offHeaderContextOff  = 48
	offHeaderContextSize = 52
	offHeaderRowsOff     = 56
	offHeaderRowSize     = 60
	offHeaderStringsOff  = 64
	offHeaderStringsLen  = 68
	offHeaderResponseOff = 72
	offHeaderResponseCap = 76
)
