package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func newDrain(where *target) *cobra.Command {
	d := &drain{}
	command := &cobra.Command{
		Use:   "drain HOST [-n NAMESPACE] [--timeout DURATION] [--force]",
		Short: "Have a host hand its models over to others and leave",
		Long: `drain has the copies in use on a host loaded elsewhere while it serves on; then the host is not ready any more, serves
those who still ask while clients look for other hosts, finishes what it has, and ends. Under ` + "`wasmesh up`" + ` it is started
again, as a new host without copies. Each line says how far it is. An interrupt ends the lines, not the drain.

The last host of a runtime in a namespace that is ready has nobody to hand over to: without --force it stays.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which host is to leave: `wasmesh drain HOST`; `wasmesh get hosts` lists them")
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			if d.timeout < 0 {
				return fmt.Errorf("--timeout %s: must not be negative; 0 is the host's own setting", d.timeout)
			}
			client, err := where.dial()
			if err != nil {
				return err
			}
			defer client.close()
			d.client, d.host, d.out = client, args[0], command.OutOrStdout()
			return d.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.StringVarP(&d.namespace, "namespace", "n", "", "namespace of the host; without it that of the only host of this name")
	flags.BoolVar(&d.force, "force", false, "have it leave even when no other host of its runtime is ready")
	flags.DurationVar(&d.timeout, "timeout", 0, "how long handing over may take; 0 is the host's own setting, and a host that leaves already keeps what it was told")
	return command
}

// drain is one `wasmesh drain`.
type drain struct {
	client *client
	// host is the id, and namespace is empty as long as any will do.
	host, namespace string
	timeout         time.Duration
	// force: it leaves even when it is the last.
	force bool
	out   io.Writer
	// said is the last line, which is not repeated.
	said string
	// epoch tells the life of the host that leaves from the next; 0 when the controller knows of no such host.
	epoch uint64
	// left is what the host last said; nil before it has said anything.
	left *syncv1.Draining
}

func (d *drain) run(ctx context.Context) error {
	started := time.Now()
	if err := d.client.patiently(ctx, func() error { return d.find(ctx) }); err != nil {
		return d.client.explain(err)
	}
	var failed error
	err := d.client.patiently(ctx, func() error {
		if failed = d.follow(ctx); d.left != nil {
			return nil // Asked again, it could be the next host of that name that leaves.
		}
		return failed
	})
	if failed == nil {
		failed = err
	}
	if d.left != nil && d.epoch != 0 && status.Code(failed) == codes.Unavailable {
		failed = d.watch(ctx) // The host needs no controller to go on.
	}
	if failed != nil && ctx.Err() != nil {
		return fmt.Errorf("host %s goes on draining; `wasmesh get hosts` shows how far it is", d.host)
	}
	if failed != nil {
		return d.client.explain(failed)
	}
	d.say(leftLine(d.left, time.Since(started)))
	return nil
}

// find learns which life of the host is about to leave, and whether it may. Whether there is such a host is for the
// controller to say.
func (d *drain) find(ctx context.Context) error {
	list, err := d.client.ListHosts(ctx, &adminv1.ListHostsRequest{})
	if err != nil {
		return err
	}
	connected := keep(keep(list.GetHosts(), d.means), (*host).GetConnected)
	if len(connected) > 1 {
		var namespaces []string
		for _, h := range connected {
			namespaces = append(namespaces, h.GetHello().GetNamespace())
		}
		return fmt.Errorf("namespaces %s each have a host %q: say which with -n", strings.Join(namespaces, ", "), d.host)
	}
	h := d.in(list.GetHosts())
	d.epoch = h.GetHello().GetEpoch()
	if d.force {
		return nil
	}
	return d.notTheLast(ctx, h, list.GetHosts())
}

// look answers the host; nil when the controller does not know of it.
func (d *drain) look(ctx context.Context) (*host, error) {
	list, err := d.client.ListHosts(ctx, &adminv1.ListHostsRequest{})
	if err != nil {
		return nil, err
	}
	return d.in(list.GetHosts()), nil
}

// means says that a host is of the name that was given.
func (d *drain) means(h *host) bool {
	id, namespace := h.GetHello().GetHostId(), h.GetHello().GetNamespace()
	return (id == d.host || namespace+"/"+id == d.host) && (d.namespace == "" || d.namespace == namespace)
}

// in answers the host that is meant, rather one that is connected; nil for none.
func (d *drain) in(all []*host) *host {
	named := keep(all, d.means)
	if len(named) == 0 {
		return nil
	}
	return named[max(0, slices.IndexFunc(named, (*host).GetConnected))]
}

// id is the host's for the controller, which takes NAMESPACE/HOST, too.
func (d *drain) id() string {
	if d.namespace == "" || strings.HasPrefix(d.host, d.namespace+"/") {
		return d.host
	}
	return d.namespace + "/" + d.host
}

// follow asks for the drain and prints what the controller tells of it, until the host has left.
func (d *drain) follow(ctx context.Context) error {
	stream, err := d.client.DrainHost(ctx, &adminv1.DrainHostRequest{HostId: d.id(), TimeoutMs: millis(d.timeout)})
	for err == nil {
		var answer *adminv1.DrainHostResponse
		if answer, err = stream.Recv(); err != nil {
			return err
		}
		if d.left = answer.GetDraining(); answer.GetLeft() {
			return nil
		}
		d.say(drainLine(d.left))
	}
	return err
}

// millis rounds up: 0 would be the host's own setting.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

const (
	// watchPoll is how often a drain is looked at whose controller has gone.
	watchPoll = 200 * time.Millisecond
	// watchLost is how long a host may take to tell the next controller of itself.
	watchLost = 10 * time.Second
)

// watch goes on after the controller that was asked has ended, and never asks again: that would have the host's next life
// leave too.
func (d *drain) watch(ctx context.Context) error {
	for seen := time.Now(); ; {
		var h *host
		err := d.client.patiently(ctx, func() (err error) { h, err = d.look(ctx); return err })
		if err != nil {
			return err
		}
		same := h.GetHello().GetEpoch() == d.epoch
		if same && h.GetDraining() != nil {
			d.left = h.GetDraining()
		}
		switch {
		case same && h.GetConnected():
			seen = time.Now()
			d.say(drainLine(d.left))
		case d.left.GetClosing() && h != nil:
			return nil // It has gone, or another is in its place.
		case h.GetConnected():
			return fmt.Errorf("host %s ended, and has been started again, before its copies were elsewhere: drain it again", d.host)
		}
		if time.Since(seen) > watchLost {
			if d.left.GetClosing() {
				return nil // It went while nobody looked.
			}
			return fmt.Errorf("host %s has not been heard of for %s; `wasmesh get hosts` shows whether it has left", d.host, watchLost)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPoll):
		}
	}
}

func (d *drain) say(line string) {
	if line != d.said {
		fmt.Fprintf(d.out, "host %s %s\n", d.host, line)
		d.said = line
	}
}

// drainLine says how far a host is.
func drainLine(draining *syncv1.Draining) string {
	if draining.GetClosing() {
		return "is not ready any more: it serves on while clients look for other hosts, then finishes what it has"
	}
	if draining.GetCopies() == 0 {
		return "hands over what is in use on it"
	}
	line := fmt.Sprintf("hands over: %d of %d copies are elsewhere", draining.GetMoved(), draining.GetCopies())
	if n := draining.GetStranded(); n > 0 {
		line += fmt.Sprintf(", %d found no other host yet", n)
	}
	return line
}

// leftLine says what a host left behind.
func leftLine(draining *syncv1.Draining, took time.Duration) string {
	line := fmt.Sprintf("has left after %s", took.Round(100*time.Millisecond))
	if behind := int64(draining.GetCopies()) - int64(draining.GetMoved()); behind > 0 {
		line += fmt.Sprintf("; %d of the %d copies that were in use on it had not been loaded elsewhere: the next request for each loads it",
			behind, draining.GetCopies())
	}
	return line
}
