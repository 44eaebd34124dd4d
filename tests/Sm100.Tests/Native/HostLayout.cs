using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary><c>native_layout.cuh</c>, compiled for the host.</summary>
internal sealed unsafe class HostLayout : IDisposable
{
    private readonly HostLibrary _library = HostLibrary.Compile(
        "native_layout.cuh",
        """
        extern "C" int place_of(int row) { return gate_up_place(row); }
        extern "C" int row_of(int place) { return gate_up_row(place); }
        extern "C" int byte_of(int row, int byte) { return swizzled_byte(row, byte); }
        extern "C" int tile_row_of(int word) { return scale_tile_row(word); }
        extern "C" unsigned long long operand_of(unsigned address) { return operand_descriptor(address); }
        extern "C" unsigned long long scales_of(unsigned address) { return scales_descriptor(address); }
        extern "C" unsigned instruction_of(int columns, int k) { return block_scaled_instruction(columns, k); }
        extern "C" unsigned selector_of(int lane, int round) { return transpose_selector(lane, round); }
        """);

    public HostLayout()
    {
        GateUpPlace = (delegate* unmanaged<int, int>)_library.Export("place_of");
        GateUpRow = (delegate* unmanaged<int, int>)_library.Export("row_of");
        SwizzledByte = (delegate* unmanaged<int, int, int>)_library.Export("byte_of");
        ScaleTileRow = (delegate* unmanaged<int, int>)_library.Export("tile_row_of");
        Operand = (delegate* unmanaged<uint, ulong>)_library.Export("operand_of");
        Scales = (delegate* unmanaged<uint, ulong>)_library.Export("scales_of");
        Instruction = (delegate* unmanaged<int, int, uint>)_library.Export("instruction_of");
        TransposeSelector = (delegate* unmanaged<int, int, uint>)_library.Export("selector_of");
    }

    public delegate* unmanaged<int, int> GateUpPlace { get; }

    public delegate* unmanaged<int, int> GateUpRow { get; }

    public delegate* unmanaged<int, int, int> SwizzledByte { get; }

    public delegate* unmanaged<int, int> ScaleTileRow { get; }

    public delegate* unmanaged<uint, ulong> Operand { get; }

    public delegate* unmanaged<uint, ulong> Scales { get; }

    public delegate* unmanaged<int, int, uint> Instruction { get; }

    public delegate* unmanaged<int, int, uint> TransposeSelector { get; }

    public void Dispose() => _library.Dispose();
}
