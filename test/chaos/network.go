package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Network is two subnets, each a network namespace, that reach each other only through the namespace of this process,
// which routes between them and reaches both.
type Network struct {
	halves []half
}

type half struct {
	namespace, subnet, device string
	hosts                     int
}

// forwarding is of the network namespace that looks at it.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// NewNetwork makes the namespaces. The calling process must be in a network namespace of its own.
func NewNetwork() (*Network, error) {
	n := &Network{}
	if err := ip("link", "set", "lo", "up"); err != nil {
		return nil, err
	}
	for i := range 2 {
		h := half{
			namespace: fmt.Sprintf("wasmesh-%d-%c", os.Getpid(), 'a'+i), subnet: fmt.Sprintf("10.213.%d.", i), device: fmt.Sprintf("wm%d", i),
		}
		if err := h.make(); err != nil {
			return nil, errors.Join(err, n.Close())
		}
		n.halves = append(n.halves, h)
	}
	return n, n.Heal()
}

func (h half) make() error {
	for _, command := range []string{
		"netns add " + h.namespace,
		"link add " + h.device + " type veth peer name uplink netns " + h.namespace,
		"addr add " + h.subnet + "1/24 dev " + h.device,
		"link set " + h.device + " up",
		"-n " + h.namespace + " link set lo up",
		"-n " + h.namespace + " link set uplink up",
		"-n " + h.namespace + " addr add " + h.subnet + "2/24 dev uplink",
		"-n " + h.namespace + " route add default via " + h.subnet + "1",
	} {
		if err := ip(strings.Fields(command)...); err != nil {
			return err
		}
	}
	return nil
}

// Host makes an address in one half and answers it, with the command that runs a program there.
func (n *Network) Host(i int) (address string, command []string, err error) {
	h := &n.halves[i]
	h.hosts++
	address = fmt.Sprintf("%s%d", h.subnet, 10+h.hosts)
	err = ip("-n", h.namespace, "addr", "add", address+"/24", "dev", "uplink")
	return address, []string{"ip", "netns", "exec", h.namespace}, err
}

// Cut drops everything between the halves, without a word to either.
func (n *Network) Cut() error { return os.WriteFile(forwarding, []byte("0"), 0o644) }

// Heal lets everything through again.
func (n *Network) Heal() error { return os.WriteFile(forwarding, []byte("1"), 0o644) }

// Close removes the namespaces.
func (n *Network) Close() error {
	var errs []error
	for _, h := range n.halves {
		errs = append(errs, ip("netns", "delete", h.namespace))
	}
	return errors.Join(errs...)
}

func ip(args ...string) error {
	if said, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(said)))
	}
	return nil
}
