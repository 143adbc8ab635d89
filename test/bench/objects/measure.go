package objects

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/stubhost"
)

const (
	// creators make objects at a time.
	creators = 16
	// quiet is how long nothing may have been written before it is called rest.
	quiet = 3 * time.Second
	// pause between two applies, so that each finds a controller at rest.
	pause = 100 * time.Millisecond
	// applyTimeout is when an apply counts as lost.
	applyTimeout = time.Minute
)

// update is an alias that the host has heard of, and when.
type update struct {
	name string
	at   time.Time
}

// noted is the host's; while many objects are created nobody reads, and what does not fit is dropped.
func (b *bench) noted(u *syncv1.Update) {
	now := time.Now()
	for _, row := range u.GetUpserts() {
		if a := row.GetAlias(); a != nil {
			select {
			case b.updates <- update{a.GetName(), now}:
			default:
			}
		}
	}
}

func (b *bench) measure(ctx context.Context) (r Result, err error) {
	running, pid, stop, err := b.controller(ctx)
	if err != nil {
		return r, err
	}
	defer func() {
		if stop != nil {
			err = errors.Join(err, stop())
		}
	}()
	host, err := b.host(running)
	if err != nil {
		return r, err
	}
	defer host.Stop()
	for _, step := range []func(context.Context, *Result) error{b.create, b.atRest, b.applies} {
		if err := step(running, &r); err != nil {
			return r, errors.Join(err, context.Cause(running))
		}
	}
	if r.RSSBytes, r.PeakBytes, err = memoryOf(pid); err != nil {
		return r, err
	}
	err = stop()
	if stop = nil; err != nil {
		return r, err
	}
	return r, b.restart(ctx, host, &r)
}

// restart counts what a new controller writes that finds everything as it was.
func (b *bench) restart(ctx context.Context, host *stubhost.Host, r *Result) (err error) {
	before, err := b.writes(ctx)
	if err != nil {
		return err
	}
	at := time.Now()
	running, _, stop, err := b.controller(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// The host knows the catalog already, and only something new tells that the new controller has come so far.
	last := inferenceService(b.config.Objects + b.config.Applies)
	if err := b.client.Create(running, last); err != nil {
		return err
	}
	err = host.Until(running, func(rows map[string]*syncv1.Row) bool { return rows[decide.AliasRowKey(namespace, last.Name)] != nil })
	if err != nil {
		return errors.Join(err, context.Cause(running))
	}
	r.Restarted = time.Since(at)
	after, err := b.settled(running)
	r.AfterRestart = after - before
	return err
}

// create makes all objects, and waits until nothing more is to be written on any.
func (b *bench) create(outer context.Context, r *Result) error {
	before, err := b.writes(outer)
	if err != nil {
		return err
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(outer)
	group.Go(func() error {
		var makers errgroup.Group
		makers.SetLimit(creators)
		for i := range b.config.Objects {
			makers.Go(func() error { return b.client.Create(ctx, inferenceService(i)) })
		}
		err := makers.Wait()
		r.Created = time.Since(began)
		return err
	})
	group.Go(func() error { return b.await(ctx, began) })
	if err := group.Wait(); err != nil {
		return err
	}
	r.Reconciled = time.Since(began)
	after, err := b.settled(outer)
	r.Writes = after - before - float64(b.config.Objects)
	return err
}

// await follows an informer until every object is reconciled: unlike a watch, it goes on where it was when the API server
// ends it, as it does with whoever reads too slowly.
func (b *bench) await(ctx context.Context, began time.Time) error {
	const tell = 1000
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	informers, err := cache.New(b.rest, cache.Options{Scheme: b.client.Scheme(), Mapper: b.client.RESTMapper()})
	if err != nil {
		return fmt.Errorf("watch InferenceServices: %w", err)
	}
	informer, err := informers.GetInformer(ctx, &v1beta1.InferenceService{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch InferenceServices: %w", err)
	}
	done := map[types.UID]bool{} // The informer tells of one object at a time.
	all := make(chan struct{})
	look := func(object any) {
		o, is := object.(*v1beta1.InferenceService)
		if !is || !reconciled(o) || done[o.UID] {
			return
		}
		done[o.UID] = true
		if len(done)%tell == 0 {
			fmt.Fprintf(b.config.Out, "%6d reconciled after %v\n", len(done), time.Since(began).Round(time.Second))
		}
		if len(done) == b.config.Objects {
			close(all)
		}
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: look, UpdateFunc: func(_, object any) { look(object) },
	}); err != nil {
		return fmt.Errorf("watch InferenceServices: %w", err)
	}
	var group errgroup.Group
	group.Go(func() error { return informers.Start(ctx) })
	select {
	case <-all:
	case <-ctx.Done():
		err = ctx.Err()
	}
	stop()
	return errors.Join(err, group.Wait())
}

// atRest counts what is written when nothing happens.
func (b *bench) atRest(ctx context.Context, r *Result) error {
	before, err := b.settled(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := sleep(ctx, b.config.Rest); err != nil {
		return err
	}
	after, err := b.writes(ctx)
	r.AtRest, r.RestTime = after-before, time.Since(began)
	return err
}

// applies makes objects one at a time.
func (b *bench) applies(ctx context.Context, r *Result) error {
	var took []time.Duration
	for i := range b.config.Applies {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		o := inferenceService(b.config.Objects + i)
		began := time.Now()
		if err := b.client.Create(ctx, o); err != nil {
			return err
		}
		at, err := b.heard(ctx, o.Name)
		if err != nil {
			return err
		}
		took = append(took, at.Sub(began))
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		r.KnownP50, r.KnownP99 = took[n/2], took[min(n-1, n*99/100)]
	}
	return nil
}

// heard answers when the host was told of an alias.
func (b *bench) heard(ctx context.Context, name string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	for {
		select {
		case u := <-b.updates:
			if u.name == name {
				return u.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s never came to the host: %w", name, ctx.Err())
		}
	}
}

// settled waits until nothing has been written for a while, and answers the count.
func (b *bench) settled(ctx context.Context) (float64, error) {
	last, err := b.writes(ctx)
	for err == nil {
		if err = sleep(ctx, quiet); err != nil {
			break
		}
		var now float64
		if now, err = b.writes(ctx); now == last {
			break
		}
		last = now
	}
	return last, err
}

// writes is how many the API server has answered since it started, those of Leases aside.
func (b *bench) writes(ctx context.Context) (float64, error) {
	cluster, err := b.clientset()
	if err != nil {
		return 0, err
	}
	text, err := cluster.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the API server's metrics: %w", err)
	}
	total := 0.0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "apiserver_request_total{") || strings.Contains(line, `resource="leases"`) {
			continue
		}
		for _, verb := range []string{"POST", "PUT", "PATCH", "APPLY", "DELETE"} {
			if strings.Contains(line, `verb="`+verb+`"`) {
				value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
				if err != nil {
					return 0, fmt.Errorf("read the API server's metrics: %w", err)
				}
				total += value
			}
		}
	}
	return total, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// memoryOf answers the resident set of a process, and the largest that it has had.
func memoryOf(pid int) (rss, peak int64, err error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the controller's memory: %w", err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64) // Of the two lines that count it is a number.
		switch fields[0] {
		case "VmRSS:":
			rss = kib << 10
		case "VmHWM:":
			peak = kib << 10
		}
	}
	return rss, peak, nil
}
