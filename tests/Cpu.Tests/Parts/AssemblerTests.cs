namespace Moe.Plugins.Cpu.Tests;

/// <summary>Instructions as GNU as writes them: registers of all four groups, short and long offsets, masks and broadcasts.</summary>
public sealed class AssemblerTests
{
    [Fact]
    public void Instructions_have_the_bytes_that_the_manual_says()
    {
        var code = new Assembler([1, 2, 3]);
        code.Vmovdqu32(31, new Address(GeneralRegister.R9, 64));
        code.Vmovdqu32(27, new Address(GeneralRegister.Rdi, 65));
        code.Vmovdqa32(9, 24);
        code.Vmovups(new Address(GeneralRegister.R8, -128), 17);
        code.Vpbroadcastd(3, new Address(GeneralRegister.Rcx, 508));
        code.Vpbroadcastd(28, new Address(GeneralRegister.R9, 136), mask: 1);
        code.Vpmovzxbd(24, new Address(GeneralRegister.Rsi, 16));
        code.Vpxord(22, 9, 30);
        code.Vpaddd(1, 18, 12);
        code.Vpsrld(30, 29, 4);
        code.Vpslld(5, 8, 23);
        code.VpmaxudBroadcast(27, 14, new Address(GeneralRegister.R9, 128));
        code.VpcmpeqdBroadcast(1, 24, new Address(GeneralRegister.R9, 1024));
        code.Vpermb(27, 28, 31);
        code.Vpermw(10, 27, 31);
        code.Vpdpbusd(23, 27, 26);
        code.Vpdpwssd(0, 29, 25);
        code.Vcvtdq2ps(19, 4);
        code.VmulpsBroadcast(16, 16, new Address(GeneralRegister.Rcx, 64));
        code.Vfmadd213ps(7, 27, new Address(GeneralRegister.R8, 192));
        code.Prefetcht0(new Address(GeneralRegister.Rdi, 4096));
        code.Prefetcht0(new Address(GeneralRegister.R8, 8));
        code.Add(GeneralRegister.Rdi, 512);
        code.Add(GeneralRegister.R9, 4096);
        code.Loop(GeneralRegister.Rdx, 3);
        code.Return();
        Assert.Equal(
            "62417E486F790162617E486F9F4100000062117D486FC862C17C481148FE62F27D4858597F62427D4958612262627D4831460162813548"
            + "EFF662D16D40FECC62910D4072D50462D1554872F01762420D583F592062D13D5076890004000062021D408DDF6212A5408DD762822540"
            + "50FA6292154052C162E17C485BDC62E17C5059411062D22540A878030F188F00100000410F1848084881C7000200004981C10010000048"
            + "FFCA0F8553FFFFFFC5F877C3",
            Convert.ToHexString(code.ToArray()[3..]));
    }
}
