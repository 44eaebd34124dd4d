namespace Moe.Plugins.Cpu;

/// <summary>The registers of an x86-64 function's arguments on all systems but Windows, in their order; a function need not keep them. Values are the processor's numbers.</summary>
internal enum GeneralRegister
{
    Rdi = 7,
    Rsi = 6,
    Rdx = 2,
    Rcx = 1,
    R8 = 8,
    R9 = 9,
}
