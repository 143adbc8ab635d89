package gossip

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"
)

// Node is one start of a host, as it describes itself.
type Node struct {
	// Name is memberlist's, unique to this start.
	Name string
	// ID, Epoch, Runtime, Zone, Gateway and the addresses are those of members.Member.
	ID    string
	Epoch uint64
	// Started is in milliseconds since the epoch, by the host's clock.
	Started                               int64
	Runtime, Zone                         string
	Gateway                               bool
	PeerAddress, GRPCAddress, RESTAddress string
	// GossipAddress is memberlist's own knowledge, not part of what the host says.
	GossipAddress string
}

// NewerThan orders the starts of one id, in the same way on every host.
func (n Node) NewerThan(o Node) bool {
	return cmp.Or(cmp.Compare(n.Epoch, o.Epoch), cmp.Compare(n.Started, o.Started), strings.Compare(n.Name, o.Name)) > 0
}

// The encoding of what a host says of itself: version, flags, epoch and start (big-endian), then strings, each preceded by
// its length in one byte. A later version may append.
const (
	metaVersion = 1
	metaHeader  = 1 + 1 + 8 + 8
	flagGateway = 1 << 0
	// maxID is that of a Kubernetes object's name, which a host's id is.
	maxID = 253
)

var errMeta = errors.New("malformed description of a host")

func (n *Node) strings() []*string {
	return []*string{&n.ID, &n.Runtime, &n.Zone, &n.PeerAddress, &n.GRPCAddress, &n.RESTAddress}
}

// encode answers at most memberlist.MetaMaxSize bytes.
func (n Node) encode() ([]byte, error) {
	meta := make([]byte, metaHeader, memberlist.MetaMaxSize)
	meta[0] = metaVersion
	if n.Gateway {
		meta[1] |= flagGateway
	}
	binary.BigEndian.PutUint64(meta[2:], n.Epoch)
	binary.BigEndian.PutUint64(meta[10:], uint64(n.Started))
	for _, s := range n.strings() {
		if len(*s) > 255 {
			return nil, fmt.Errorf("%q is longer than 255 bytes", *s)
		}
		meta = append(append(meta, byte(len(*s))), *s...)
	}
	if len(meta) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("id, runtime, zone and addresses of this host take %d bytes together, want at most %d: shorten them",
			len(meta), memberlist.MetaMaxSize)
	}
	if _, err := decode(meta); err != nil {
		return nil, err
	}
	return meta, nil
}

// decode is strict: a host that it accepts can be shown, dialled and compared.
func decode(meta []byte) (Node, error) {
	if len(meta) < metaHeader || len(meta) > memberlist.MetaMaxSize || meta[0] < metaVersion {
		return Node{}, errMeta
	}
	n := Node{
		Gateway: meta[1]&flagGateway != 0,
		Epoch:   binary.BigEndian.Uint64(meta[2:]),
		Started: int64(binary.BigEndian.Uint64(meta[10:])),
	}
	rest := meta[metaHeader:]
	for _, s := range n.strings() {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return Node{}, errMeta
		}
		*s, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
	}
	if !ValidID(n.ID) || !ValidName(n.Runtime) || !ValidName(n.Zone) {
		return Node{}, fmt.Errorf("%w: id %q, runtime %q, zone %q", errMeta, n.ID, n.Runtime, n.Zone)
	}
	for _, address := range []string{n.PeerAddress, n.GRPCAddress, n.RESTAddress} {
		if !ValidOptionalAddress(address) {
			return Node{}, fmt.Errorf("%w: address %q", errMeta, address)
		}
	}
	if n.PeerAddress == "" {
		return Node{}, fmt.Errorf("%w: no address for other hosts", errMeta)
	}
	return n, nil
}

// ValidID reports whether it can be a host's id.
func ValidID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.Contains(id, nameSeparator) && printable(id)
}

// ValidAddress reports whether it is "host:port" and can be dialled.
func ValidAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || !printable(host) || strings.ContainsAny(host, " /") {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0
}

// ValidOptionalAddress is ValidAddress, or none.
func ValidOptionalAddress(address string) bool { return address == "" || ValidAddress(address) }

// ValidName reports whether it can be the name of a runtime or a zone, or none.
func ValidName(name string) bool { return len(name) <= maxID && printable(name) }

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

const (
	nameSeparator = "#"
	// maxName bounds memberlist's name: an id, an epoch and a nonce.
	maxName = maxID + 2 + 16 + 16
)

// nameOf is one start of a host to memberlist.
func nameOf(id string, epoch, nonce uint64) string {
	return fmt.Sprintf("%s%s%x%s%x", id, nameSeparator, epoch, nameSeparator, nonce)
}

// described decodes what gossip carries of a node, and holds the name against it.
func described(n *memberlist.Node) (Node, error) {
	node, err := decode(n.Meta)
	if err != nil {
		return Node{}, err
	}
	if len(n.Name) > maxName || !strings.HasPrefix(n.Name, node.ID+nameSeparator) {
		return Node{}, fmt.Errorf("%w: node %q says that its id is %q", errMeta, n.Name, node.ID)
	}
	node.Name, node.GossipAddress = n.Name, n.Address()
	return node, nil
}
