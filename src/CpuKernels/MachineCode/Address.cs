namespace Moe.Plugins.Cpu;

/// <summary>Memory at some bytes from a register.</summary>
internal readonly record struct Address(GeneralRegister Base, int Offset);
