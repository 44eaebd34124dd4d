using System.Buffers.Binary;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Writes x86-64 machine code: the few AVX-512 instructions that kernels need (Intel's Software Developer's Manual, volume 2; a method has the
/// instruction's name). Vectors have 512 bits and are numbered 0 to 31. A second source in memory is read as one number for all lanes where its name ends with Broadcast.
/// </summary>
/// <param name="data">What stands before the code.</param>
internal sealed class Assembler(ReadOnlySpan<byte> data)
{
    private const int VectorBytes = 64;
    private readonly List<byte> _code = [.. data];

    private enum Map
    {
        M0F = 1,
        M0F38 = 2,
    }

    private enum Prefix
    {
        None = 0,
        P66 = 1,
        PF3 = 2,
    }

    /// <summary>Bytes written.</summary>
    public int Position => _code.Count;

    public byte[] ToArray() => [.. _code];

    /// <summary>Fills up to a multiple of a cache line, which nobody runs.</summary>
    public void Align()
    {
        while (_code.Count % VectorBytes != 0)
        {
            _code.Add(0xCC);
        }
    }

    public void Vmovdqu32(int target, Address source) => Vector(Prefix.PF3, Map.M0F, 0x6F, target, 0, source, VectorBytes);

    public void Vmovdqa32(int target, int source) => Vector(Prefix.P66, Map.M0F, 0x6F, target, 0, source);

    public void Vmovups(Address target, int source) => Vector(Prefix.None, Map.M0F, 0x11, source, 0, target, VectorBytes);

    public void Vpbroadcastd(int target, Address source, int mask = 0) => Vector(Prefix.P66, Map.M0F38, 0x58, target, 0, source, sizeof(int), mask: mask);

    /// <summary>16 bytes become 16 numbers.</summary>
    public void Vpmovzxbd(int target, Address source) => Vector(Prefix.P66, Map.M0F38, 0x31, target, 0, source, VectorBytes / sizeof(int));

    public void Vpxord(int target, int left, int right) => Vector(Prefix.P66, Map.M0F, 0xEF, target, left, right);

    public void Vpaddd(int target, int left, int right) => Vector(Prefix.P66, Map.M0F, 0xFE, target, left, right);

    public void Vpsrld(int target, int source, byte count) => Shift(2, target, source, count);

    public void Vpslld(int target, int source, byte count) => Shift(6, target, source, count);

    public void VpmaxudBroadcast(int target, int left, Address right) => Vector(Prefix.P66, Map.M0F38, 0x3F, target, left, right, sizeof(int), isBroadcast: true);

    /// <summary>Compares with one number; the target is a mask register.</summary>
    public void VpcmpeqdBroadcast(int mask, int left, Address right) => Vector(Prefix.P66, Map.M0F, 0x76, mask, left, right, sizeof(int), isBroadcast: true);

    /// <summary>Looks 64 bytes up: each index picks one of the table.</summary>
    public void Vpermb(int target, int indices, int table) => Vector(Prefix.P66, Map.M0F38, 0x8D, target, indices, table);

    /// <summary>Looks 32 numbers of 16 bits up: each index picks one of the table.</summary>
    public void Vpermw(int target, int indices, int table) => Vector(Prefix.P66, Map.M0F38, 0x8D, target, indices, table, isWide: true);

    /// <summary>Adds the products of four unsigned bytes with four signed ones to 32 bits.</summary>
    public void Vpdpbusd(int sum, int unsigned, int signed) => Vector(Prefix.P66, Map.M0F38, 0x50, sum, unsigned, signed);

    /// <summary>Adds the products of two pairs of 16 bits to 32 bits.</summary>
    public void Vpdpwssd(int sum, int left, int right) => Vector(Prefix.P66, Map.M0F38, 0x52, sum, left, right);

    public void Vcvtdq2ps(int target, int source) => Vector(Prefix.None, Map.M0F, 0x5B, target, 0, source);

    public void VmulpsBroadcast(int target, int left, Address right) => Vector(Prefix.None, Map.M0F, 0x59, target, left, right, sizeof(float), isBroadcast: true);

    /// <summary>target = target · factor + added.</summary>
    public void Vfmadd213ps(int target, int factor, Address added) => Vector(Prefix.P66, Map.M0F38, 0xA8, target, factor, added, VectorBytes);

    public void Prefetcht0(Address source)
    {
        if (source.Base >= GeneralRegister.R8)
        {
            _code.Add(0x41);
        }

        _code.AddRange([0x0F, 0x18]);
        Memory(1, source, 1);
    }

    public void Add(GeneralRegister register, int value)
    {
        _code.AddRange([(byte)(register >= GeneralRegister.R8 ? 0x49 : 0x48), 0x81, (byte)(0xC0 | ((int)register & 7))]);
        Number(value);
    }

    /// <summary>Counts a register down, and goes to an earlier position unless it is 0.</summary>
    public void Loop(GeneralRegister counter, int position)
    {
        _code.AddRange([(byte)(counter >= GeneralRegister.R8 ? 0x49 : 0x48), 0xFF, (byte)(0xC8 | ((int)counter & 7)), 0x0F, 0x85]);
        Number(position - (_code.Count + sizeof(int)));
    }

    /// <summary>Leaves the vectors as other code wants them, and returns.</summary>
    public void Return() => _code.AddRange([0xC5, 0xF8, 0x77, 0xC3]);

    private void Shift(int operation, int target, int source, byte count)
    {
        // The target stands where others have their first source.
        Vector(Prefix.P66, Map.M0F, 0x72, operation, target, source);
        _code.Add(count);
    }

    private void Vector(Prefix prefix, Map map, byte opcode, int target, int first, int second, bool isWide = false)
    {
        Evex(prefix, map, opcode, target, first, (second >> 3) & 1, (second >> 4) & 1, isWide, isBroadcast: false, mask: 0);
        _code.Add((byte)(0xC0 | ((target & 7) << 3) | (second & 7)));
    }

    private void Vector(
        Prefix prefix, Map map, byte opcode, int target, int first, Address second, int unit, bool isBroadcast = false, int mask = 0)
    {
        Evex(prefix, map, opcode, target, first, ((int)second.Base >> 3) & 1, 0, isWide: false, isBroadcast, mask);
        Memory(target & 7, second, unit);
    }

    /// <summary>The four bytes before an AVX-512 instruction, and its opcode. Most bits stand there inverted.</summary>
    private void Evex(Prefix prefix, Map map, byte opcode, int target, int first, int secondBit3, int secondBit4, bool isWide, bool isBroadcast, int mask)
    {
        const int Length512 = 0x40;
        int bits = (((target >> 3) & 1) << 7) | (secondBit4 << 6) | (secondBit3 << 5) | (((target >> 4) & 1) << 4);
        _code.AddRange(
        [
            0x62,
            (byte)((bits ^ 0xF0) | (int)map),
            (byte)((isWide ? 0x80 : 0) | ((~first & 15) << 3) | 4 | (int)prefix),
            (byte)(Length512 | (isBroadcast ? 0x10 : 0) | ((~first >> 4 & 1) << 3) | mask),
            opcode,
        ]);
    }

    /// <summary>An operand in memory. A short offset counts in units of what the instruction reads.</summary>
    private void Memory(int register, Address address, int unit)
    {
        bool isShort = address.Offset % unit == 0 && address.Offset / unit is >= sbyte.MinValue and <= sbyte.MaxValue;
        _code.Add((byte)((isShort ? 0x40 : 0x80) | (register << 3) | ((int)address.Base & 7)));
        if (isShort)
        {
            _code.Add((byte)(address.Offset / unit));
        }
        else
        {
            Number(address.Offset);
        }
    }

    private void Number(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        _code.AddRange(bytes);
    }
}
