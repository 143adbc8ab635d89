;; Shapes of control flow and of calls whose results and costs shapes_test.go knows.
;; Built with: wat2wasm shapes.wat (wabt 1.0.39)
(module
  (type $unary (func (param i32) (result i32)))
  (import "host" "double" (func $double (type $unary)))
  (table 4 10 funcref)
  (elem (i32.const 0) $double $fib $switch)
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))

  ;; 1 for the call, 1 for the instruction
  (func (export "constant") (result i32)
    i32.const 7)

  ;; Five instructions without the arm, and one more for either: the call costs 1 as well.
  (func (export "choose") (param i32) (result i32)
    local.get 0
    if (result i32)
      i32.const 1
      nop
    else
      i32.const 2
      i32.const 3
      i32.add
    end)

  (func $fib (export "fib") (type $unary)
    local.get 0
    i32.const 2
    i32.lt_u
    if
      local.get 0
      return
    end
    local.get 0
    i32.const 1
    i32.sub
    call $fib
    local.get 0
    i32.const 2
    i32.sub
    call $fib
    i32.add)

  (func $switch (export "switch") (type $unary)
    block $default
      block $two
        block $one
          block $zero
            local.get 0
            br_table $zero $one $two $zero $default
          end
          i32.const 100
          return
        end
        i32.const 101
        return
      end
      i32.const 102
      return
    end
    i32.const 103)

  ;; The sum of 1 to n.
  (func (export "sum") (type $unary)
    (local $total i32)
    block $done
      loop $next
        local.get 0
        i32.eqz
        br_if $done
        local.get $total
        local.get 0
        i32.add
        local.set $total
        local.get 0
        i32.const 1
        i32.sub
        local.set 0
        br $next
      end
    end
    local.get $total)

  (func $divmod (param i32 i32) (result i32 i32)
    local.get 0
    local.get 1
    i32.div_u
    local.get 0
    local.get 1
    i32.rem_u)

  (func (export "digits") (type $unary)
    local.get 0
    i32.const 10
    call $divmod
    i32.add)

  ;; Calls entry `which` of the table: the imported function, fib or switch.
  (func (export "indirect") (param $which i32) (param $value i32) (result i32)
    local.get $value
    local.get $which
    call_indirect (type $unary))

  ;; Puts the imported function into the table by reference, then calls it there.
  (func (export "reference") (type $unary)
    i32.const 3
    ref.func $double
    table.set 0
    local.get 0
    i32.const 3
    call_indirect (type $unary))
  (export "double" (func $double))

  (func (export "fill") (param $length i32)
    i32.const 0
    i32.const 1
    local.get $length
    memory.fill)

  (func (export "grow") (type $unary)
    local.get 0
    memory.grow)

  (func (export "growTable") (type $unary)
    ref.null func
    local.get 0
    table.grow 0)

  (func (export "divide") (param i32 i32) (result i32)
    local.get 0
    local.get 1
    i32.div_s)
)
