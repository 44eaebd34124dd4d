namespace Moe.Plugins.Cpu;

/// <summary>
/// The machine code of <see cref="VnniKernel512{TDigits}"/>. A function for each number of tokens, with the arguments codes, scales, number of blocks, digits, sums
/// and <see cref="Constants"/>; sums begin as zeros. Nothing is kept on the stack.
/// </summary>
internal static class VnniCode
{
    /// <summary>From how many tokens on two digits are taken as one number of 16 bits: twice as many lookups, but a token has half as many sums.</summary>
    public const int MinWhole = 6;

    // What registers hold. A token's sums are the lowest ones.
    private const int Broadcasts = 24;
    private const int BroadcastCount = 3;
    private const int Looked = 27;
    private const int Values = 31;
    private const int MaxSums = Broadcasts;
    private const int NaNMask = 1;

    // Offsets into the constants.
    private const int WholeValues = 64;
    private const int Smallest = 128;
    private const int NotANumber = 132;
    private const int QuietNaN = 136;

    /// <summary>What the code reads besides: values of the codes as bytes, as 16 bits, and three numbers for scale factors.</summary>
    public static byte[] Constants
    {
        get
        {
            byte[] constants = new byte[QuietNaN + sizeof(uint)];
            for (int i = 0; i < WholeValues; i++)
            {
                constants[i] = (byte)((i % 16 < 8 ? DigitKernel.LowCodes : DigitKernel.HighCodes) >> (i % 8 * 8));
            }

            for (int i = 0; i < WholeValues / sizeof(short); i++)
            {
                BitConverter.TryWriteBytes(constants.AsSpan(WholeValues + (i * sizeof(short))), (short)(constants[i] - DigitKernel.CodeOffset));
            }

            BitConverter.TryWriteBytes(constants.AsSpan(Smallest), ScaleFactors.Smallest);
            BitConverter.TryWriteBytes(constants.AsSpan(NotANumber), ScaleFactors.NotANumber);
            BitConverter.TryWriteBytes(constants.AsSpan(QuietNaN), ScaleFactors.QuietNaN);
            return constants;
        }
    }

    /// <summary>The most tokens of a call: as many as have registers for their sums.</summary>
    public static int MaxTokens(int digits) => digits == 2 ? MaxSums / 2 : MaxSums / (2 * digits);

    /// <summary>Whether so many tokens are multiplied as numbers of 16 bits.</summary>
    public static bool IsWhole(int digits, int tokens) => digits == 2 && tokens >= MinWhole;

    /// <summary>Writes the function for a number of tokens.</summary>
    public static void Write<TDigits>(Assembler code, int tokens)
        where TDigits : struct, IDigits
    {
        bool isWhole = IsWhole(TDigits.Count, tokens);
        int digits = isWhole ? 1 : TDigits.Count, blockBytes = DigitBlocks<TDigits>.BlockBytes;
        code.Vmovdqu32(Values, new Address(GeneralRegister.R9, isWhole ? WholeValues : 0));
        int block = code.Position;
        for (int token = 0; token < tokens; token++)
        {
            for (int digit = 0; digit < digits; digit++)
            {
                int sum = Sum(token, digit, 0);
                if (isWhole)
                {
                    code.Vpxord(sum, sum, sum);
                    code.Vpxord(sum + 1, sum + 1, sum + 1);
                }
                else
                {
                    code.Vpbroadcastd(sum, Digits((token * blockBytes) + DigitBlocks<TDigits>.BeginOffset + (digit * sizeof(int))));
                    code.Vmovdqa32(sum + 1, sum);
                }
            }
        }

        int broadcast = 0;
        for (int word = 0; word < PanelKernel.BlockSize / DigitKernel.WordInputs; word++)
        {
            int at = word * PanelKernel.WordBytes;
            code.Prefetcht0(new Address(GeneralRegister.Rdi, at + PanelKernel.Ahead));
            code.Prefetcht0(new Address(GeneralRegister.Rdi, at + PanelKernel.Ahead + 64));

            // As 16 bits, the lowest bits of a lane are an input's code, and a byte further on are those of two inputs further.
            for (int step = 0; step < (isWhole ? 2 : 1); step++)
            {
                for (int half = 0; half < 2; half++)
                {
                    int first = Looked + (2 * half), second = first + 1;
                    code.Vmovdqu32(first, new Address(GeneralRegister.Rdi, at + step + (half * 64)));
                    code.Vpsrld(second, first, 4);
                    LookUp(first);
                    LookUp(second);
                }

                // Even inputs and odd ones, or pairs.
                for (int token = 0; token < tokens; token++)
                {
                    for (int other = 0; other < 2; other++)
                    {
                        for (int digit = 0; digit < digits; digit++)
                        {
                            int x = Broadcasts + (broadcast++ % BroadcastCount), sum = Sum(token, digit, 0);
                            int place = isWhole ? (2 * step) + other : (other * digits) + digit;
                            code.Vpbroadcastd(x, Digits((token * blockBytes) + (word * DigitBlocks<TDigits>.WordBytes) + (place * sizeof(int))));
                            for (int half = 0; half < 2; half++)
                            {
                                if (isWhole)
                                {
                                    code.Vpdpwssd(sum + half, Looked + (2 * half) + other, x);
                                }
                                else
                                {
                                    code.Vpdpbusd(sum + half, Looked + (2 * half) + other, x);
                                }
                            }
                        }
                    }
                }
            }
        }

        for (int half = 0; half < 2; half++)
        {
            WriteScale(code, Looked + half, new Address(GeneralRegister.Rsi, half * PanelKernel.Half));
        }

        for (int token = 0; token < tokens; token++)
        {
            for (int half = 0; half < 2; half++)
            {
                int sum = Sum(token, 0, half);
                for (int digit = 1; digit < digits; digit++)
                {
                    int other = Sum(token, digit, half);
                    code.Vpslld(other, other, (byte)(digit * TDigits.DigitBits));
                    code.Vpaddd(sum, sum, other);
                }

                var target = new Address(GeneralRegister.R8, ((token * PanelKernel.Rows) + (half * PanelKernel.Half)) * sizeof(float));
                code.Vcvtdq2ps(sum, sum);
                code.VmulpsBroadcast(sum, sum, Digits((token * blockBytes) + DigitBlocks<TDigits>.StepOffset));
                code.Vfmadd213ps(sum, Looked + half, target);
                code.Vmovups(target, sum);
            }
        }

        code.Add(GeneralRegister.Rdi, PanelKernel.BlockSize / DigitKernel.WordInputs * PanelKernel.WordBytes);
        code.Add(GeneralRegister.Rsi, PanelKernel.Rows);
        code.Add(GeneralRegister.Rcx, tokens * blockBytes);
        code.Loop(GeneralRegister.Rdx, block);
        code.Return();
        return;

        int Sum(int token, int digit, int half) => (((token * digits) + digit) * 2) + half;

        void LookUp(int codes)
        {
            if (isWhole)
            {
                code.Vpermw(codes, codes, Values);
            }
            else
            {
                code.Vpermb(codes, codes, Values);
            }
        }
    }

    private static Address Digits(int offset) => new(GeneralRegister.Rcx, offset);

    /// <summary>What <see cref="ScaleFactors.Load16"/> does.</summary>
    private static void WriteScale(Assembler code, int target, Address scales)
    {
        int exponent = Broadcasts;
        code.Vpmovzxbd(exponent, scales);
        code.VpcmpeqdBroadcast(NaNMask, exponent, new Address(GeneralRegister.R9, NotANumber));
        code.Vpslld(target, exponent, ScaleFactors.ExponentShift);
        code.VpmaxudBroadcast(target, target, new Address(GeneralRegister.R9, Smallest));
        code.Vpbroadcastd(target, new Address(GeneralRegister.R9, QuietNaN), NaNMask);
    }
}
