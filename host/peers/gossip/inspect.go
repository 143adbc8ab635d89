package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// Refusal is why something that came was not taken in.
type Refusal string

// The refusals.
const (
	RefusedKey       Refusal = "key"
	RefusedMesh      Refusal = "mesh"
	RefusedMalformed Refusal = "malformed"
	RefusedOversized Refusal = "oversized"
	RefusedIdentity  Refusal = "identity"
)

// refusal is an error with its reason.
type refusal struct {
	reason Refusal
	why    string
}

func (r *refusal) Error() string { return r.why }

func refuse(reason Refusal, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

const (
	// maxPacket is beyond what memberlist sends: 1,400 bytes, and what encryption and label add to them.
	maxPacket = 2 << 10
	// MaxHosts bounds how many starts of hosts are taken note of; a message with everything that is known of so many,
	// those that are dead but not forgotten included, has at most maxMessage bytes.
	MaxHosts   = 1024
	maxMessage = 2 << 20
)

// Framing and messages of memberlist, its net.go, label.go and security.go; version 0.5.4, whose protocol is versioned.
const (
	msgPing = iota
	msgIndirectPing
	msgAck
	msgSuspect
	msgAlive
	msgDead
	msgPushPull
	msgCompound
	msgUser
	msgCompress
	msgEncrypt
	msgNack
	msgCRC
	msgError

	msgLabel = 244

	sealVersion = 1 // AES-GCM without padding
	nonceSize   = 12
	tagSize     = 16
)

// inspector opens what arrives and refuses what memberlist should not see.
type inspector struct {
	label string
	// aeads are of the keys that are accepted.
	aeads atomic.Pointer[[]cipher.AEAD]
}

func newInspector(label string, key []byte) (*inspector, error) {
	i := &inspector{label: label}
	return i, i.accept([][]byte{key})
}

// accept opens what is encrypted with one of these keys from now on.
func (i *inspector) accept(keys [][]byte) error {
	aeads := make([]cipher.AEAD, len(keys))
	for n, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return fmt.Errorf("gossip key: %w", err)
		}
		if aeads[n], err = cipher.NewGCM(block); err != nil {
			return err
		}
	}
	i.aeads.Store(&aeads)
	return nil
}

// packet inspects one datagram.
func (i *inspector) packet(b []byte) error {
	if len(b) > maxPacket {
		return refuse(RefusedOversized, "packet of %d bytes, want at most %d", len(b), maxPacket)
	}
	if len(b) < 2 || b[0] != msgLabel || len(b) < 2+int(b[1]) {
		return refuse(RefusedMalformed, "packet without the name of a mesh")
	}
	if label := string(b[2 : 2+int(b[1])]); label != i.label {
		return refuse(RefusedMesh, "packet of mesh %q", label)
	}
	plain, err := i.open(b[2+int(b[1]):], []byte(i.label))
	if err != nil {
		return err
	}
	return inspectPacket(plain)
}

// label reads the header of a stream.
func (i *inspector) labelOf(r io.Reader) (header []byte, err error) {
	header = make([]byte, 2, 2+len(i.label))
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, cutOff(err)
	}
	if header[0] != msgLabel {
		return nil, refuse(RefusedMalformed, "stream without the name of a mesh")
	}
	label := make([]byte, header[1])
	if _, err := io.ReadFull(r, label); err != nil {
		return nil, cutOff(err)
	}
	if string(label) != i.label {
		return nil, refuse(RefusedMesh, "stream of mesh %q", label)
	}
	return append(header, label...), nil
}

// message reads one message of a stream, and answers it as it came.
func (i *inspector) message(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, cutOff(err)
	}
	if head[0] != msgEncrypt {
		return nil, refuse(RefusedKey, "stream message that is not encrypted")
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxMessage {
		return nil, refuse(RefusedOversized, "stream message of %d bytes, want at most %d", size, maxMessage)
	}
	// Memory is taken as bytes come, not as they are announced.
	sealed, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && len(sealed) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, cutOff(err)
	}
	plain, err := i.open(sealed, append(head[:5:5], i.label...))
	if err != nil {
		return nil, err
	}
	if err := inspectMessage(plain); err != nil {
		return nil, err
	}
	return append(head, sealed...), nil
}

// cutOff tells a stream that ended early, which happens, from one that was never a message.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(RefusedMalformed, "stream message was cut off")
	}
	return err
}

// open decrypts into memory of its own, for memberlist decrypts again.
func (i *inspector) open(sealed, data []byte) ([]byte, error) {
	if len(sealed) < 1+nonceSize+tagSize || sealed[0] != sealVersion {
		return nil, refuse(RefusedMalformed, "message that is not encrypted as it should be")
	}
	for _, aead := range *i.aeads.Load() {
		if plain, err := aead.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], data); err == nil {
			return plain, nil
		}
	}
	return nil, refuse(RefusedKey, "message encrypted with another key")
}

// inspectPacket inspects what a datagram holds: a message, or several, perhaps behind a checksum.
func inspectPacket(plain []byte) error {
	if len(plain) >= 5 && plain[0] == msgCRC {
		if crc32.ChecksumIEEE(plain[5:]) != binary.BigEndian.Uint32(plain[1:]) {
			return refuse(RefusedMalformed, "packet with a wrong checksum")
		}
		plain = plain[5:]
	}
	if len(plain) == 0 {
		return refuse(RefusedMalformed, "empty packet")
	}
	if plain[0] != msgCompound {
		return inspectPart(plain)
	}
	if len(plain) < 2 || len(plain) < 2+2*int(plain[1]) {
		return refuse(RefusedMalformed, "truncated packet")
	}
	lengths, rest := plain[2:2+2*int(plain[1])], plain[2+2*int(plain[1]):]
	for ; len(lengths) > 0; lengths = lengths[2:] {
		n := int(binary.BigEndian.Uint16(lengths))
		if len(rest) < n {
			return refuse(RefusedMalformed, "truncated packet")
		}
		if err := inspectPart(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// fields are those of all messages of memberlist that travel alone; it reads them with the same library.
type fields struct {
	SeqNo, Incarnation           uint32
	Node, From, SourceNode, Name string
	Addr, Meta, Vsn              []byte
	Target, SourceAddr, Payload  []byte
	Port, SourcePort             uint16
	Nack                         bool
	State                        memberlist.NodeStateType
	Error                        string
}

func (f *fields) check(kind byte) error {
	if max(len(f.Node), len(f.From), len(f.SourceNode), len(f.Name)) > maxName || len(f.Meta) > memberlist.MetaMaxSize {
		return refuse(RefusedOversized, "message %d with a name or description that is too long", kind)
	}
	if kind != msgAlive && kind != msgPushPull {
		return nil
	}
	// Protocol versions: minimum, maximum and present of memberlist, then of what rides on it, which we do not use. A
	// host that claimed others would make memberlist refuse everybody's.
	const spoken = memberlist.ProtocolVersion2Compatible
	if v := f.Vsn; len(v) != 6 || v[0] == 0 || v[0] > spoken || v[1] < spoken || v[2] != spoken || v[3]|v[4]|v[5] != 0 {
		return refuse(RefusedMalformed, "host with protocol versions %v", f.Vsn)
	}
	return nil
}

func inspectPart(part []byte) error {
	if len(part) == 0 {
		return refuse(RefusedMalformed, "empty message")
	}
	switch part[0] {
	case msgPing, msgIndirectPing, msgAck, msgSuspect, msgAlive, msgDead, msgNack:
	default:
		// No host of ours compresses, nests or sends messages of its own.
		return refuse(RefusedMalformed, "message of kind %d", part[0])
	}
	var f fields
	if err := newDecoder(part[1:]).Decode(&f); err != nil {
		return refuse(RefusedMalformed, "message of kind %d: %v", part[0], err)
	}
	return f.check(part[0])
}

func newDecoder(b []byte) *codec.Decoder { return codec.NewDecoderBytes(b, &codec.MsgpackHandle{}) }

// inspectMessage inspects what a stream holds: what one host knows of all, or a ping, its answer, or an error.
func inspectMessage(plain []byte) error {
	if len(plain) == 0 {
		return refuse(RefusedMalformed, "empty message")
	}
	decoder := newDecoder(plain[1:])
	var f fields
	switch plain[0] {
	case msgPing, msgAck, msgError:
		if err := decoder.Decode(&f); err != nil {
			return refuse(RefusedMalformed, "message of kind %d: %v", plain[0], err)
		}
		return f.check(plain[0])
	case msgPushPull:
	default:
		return refuse(RefusedMalformed, "message of kind %d", plain[0])
	}
	var header struct {
		Nodes, UserStateLen int
		Join                bool
	}
	if err := decoder.Decode(&header); err != nil {
		return refuse(RefusedMalformed, "list of hosts: %v", err)
	}
	if header.UserStateLen != 0 || header.Nodes < 0 {
		return refuse(RefusedMalformed, "list of %d hosts with %d bytes beside it", header.Nodes, header.UserStateLen)
	}
	// Those that are dead are told for a while: up to as many again.
	if header.Nodes > 2*MaxHosts {
		return refuse(RefusedOversized, "list of %d hosts", header.Nodes)
	}
	for range header.Nodes {
		f = fields{}
		if err := decoder.Decode(&f); err != nil {
			return refuse(RefusedMalformed, "list of hosts: %v", err)
		}
		if err := f.check(plain[0]); err != nil {
			return err
		}
	}
	return nil
}
