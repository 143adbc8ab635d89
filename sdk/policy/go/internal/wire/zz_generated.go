// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package wire

// What every request begins with.
const (
	magic = 0x3152504d
	major = 1
)

// Reasons to refuse a request.
const (
	Malformed Code = 1
	Version   Code = 2
	Hook      Code = 3
	Config    Code = 4
)

// Offsets in the header, and its size in the first version: every host writes that much.
const (
	headerLeast = 80

	offHeaderMagic       = 0
	offHeaderAbiMajor    = 4
	offHeaderAbiMinor    = 6
	offHeaderHeaderSize  = 8
	offHeaderTotalLen    = 12
	offHeaderHook        = 16
	offHeaderRowCount    = 20
	offHeaderContextOff  = 48
	offHeaderContextSize = 52
	offHeaderRowsOff     = 56
	offHeaderRowSize     = 60
	offHeaderStringsOff  = 64
	offHeaderStringsLen  = 68
	offHeaderResponseOff = 72
	offHeaderResponseCap = 76
)
