package catalog

import (
	"maps"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Table is one complete catalog of one namespace. It is immutable, and so is everything reached from it.
type Table struct {
	version *syncv1.Version
	rows    map[string]*syncv1.Row
	models  map[string]*syncv1.Model
	aliases map[string]*syncv1.Alias
}

// emptyTable is what a host without controller and without disk starts from; it is not complete.
func emptyTable() *Table { return &Table{} }

// NewTable makes the table of these rows; the rows must not be changed afterwards.
func NewTable(version *syncv1.Version, rows ...*syncv1.Row) *Table {
	return emptyTable().with(version, rows, nil)
}

func newTable(version *syncv1.Version, rows map[string]*syncv1.Row) *Table {
	t := &Table{
		version: version,
		rows:    rows,
		models:  make(map[string]*syncv1.Model, len(rows)),
		aliases: make(map[string]*syncv1.Alias),
	}
	for _, row := range rows {
		switch value := row.GetValue().(type) {
		case *syncv1.Row_Model:
			t.models[value.Model.GetId()] = value.Model
		case *syncv1.Row_Alias:
			t.aliases[value.Alias.GetName()] = value.Alias
		}
	}
	return t
}

// Complete reports whether the table came from a controller, now or before a restart. Before it, "unknown model" would
// be a guess.
func (t *Table) Complete() bool { return t.version != nil }

// Version is the controller's number for this table; nil when it is not complete.
func (t *Table) Version() *syncv1.Version { return t.version }

// Alias finds a stable name.
func (t *Table) Alias(name string) (*syncv1.Alias, bool) {
	alias, ok := t.aliases[name]
	return alias, ok
}

// Model finds a model by its id.
func (t *Table) Model(id string) (*syncv1.Model, bool) {
	model, ok := t.models[id]
	return model, ok
}

// Models calls yield for every model, in no order.
func (t *Table) Models(yield func(*syncv1.Model) bool) {
	for _, model := range t.models {
		if !yield(model) {
			return
		}
	}
}

// Aliases calls yield for every alias, in no order.
func (t *Table) Aliases(yield func(*syncv1.Alias) bool) {
	for _, alias := range t.aliases {
		if !yield(alias) {
			return
		}
	}
}

// Change is the difference between two tables.
type Change struct {
	// Old and New tables; New is what readers see from here on.
	Old, New *Table
	// Models that are new or whose row changed.
	Upserts []*syncv1.Model
	// Ids of models that are gone.
	Removed []string
}

// with answers the table after an update on top of this one.
func (t *Table) with(version *syncv1.Version, upserts []*syncv1.Row, removed []string) *Table {
	rows := maps.Clone(t.rows)
	if rows == nil {
		rows = make(map[string]*syncv1.Row, len(upserts))
	}
	for _, key := range removed {
		delete(rows, key)
	}
	for _, row := range upserts {
		rows[row.GetKey()] = row
	}
	return newTable(version, rows)
}

func diff(old, current *Table) Change {
	change := Change{Old: old, New: current}
	for key, row := range current.rows {
		model := row.GetModel()
		if model == nil {
			continue
		}
		if before, ok := old.rows[key]; !ok || string(before.GetDigest()) != string(row.GetDigest()) {
			change.Upserts = append(change.Upserts, model)
		}
	}
	for id := range old.models {
		if _, ok := current.models[id]; !ok {
			change.Removed = append(change.Removed, id)
		}
	}
	return change
}
